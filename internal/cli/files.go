package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest/kustomization"
)

// files are what a command reads instead of a cluster, by kubectl's flags of the same names.
type files struct {
	paths         []string
	kustomization string
}

// addFileFlags adds -f and -k.
func addFileFlags(cmd *cobra.Command, usage string) *files {
	f := &files{}
	flags := genericclioptions.FileNameFlags{Usage: usage, Filenames: &f.paths, Kustomize: &f.kustomization}
	flags.AddFlags(cmd.Flags())
	return f
}

// filesIn is a folder, rendered where it holds a kustomization.
func filesIn(dir string) *files {
	if kustomization.In(dir) {
		return &files{kustomization: dir}
	}
	return &files{paths: []string{dir}}
}

func (f *files) none() bool { return len(f.paths) == 0 && f.kustomization == "" }

// String names them.
func (f *files) String() string {
	if f.kustomization != "" {
		return "kustomization " + f.kustomization
	}
	return strings.Join(f.paths, ", ")
}

// rendered are the objects of the kustomization, each under a name that has the file that declares it.
func (f *files) rendered() (rendered []manifest.Rendered, declaredIn map[string]string, err error) {
	if f.kustomization == "" {
		return nil, nil, nil
	}
	if len(f.paths) > 0 {
		return nil, nil, errors.New("give files with -f or a kustomization with -k, not both: a kustomization names its files itself")
	}
	objects, err := kustomization.Render(f.kustomization)
	if err != nil {
		return nil, nil, err
	}
	if len(objects) == 0 {
		return nil, nil, errors.New("kustomization " + f.kustomization + " renders no objects")
	}
	declaredIn = map[string]string{}
	for _, object := range objects {
		name := fmt.Sprintf("%s (rendered by %s)", object.File, f.kustomization)
		declaredIn[name] = object.File
		rendered = append(rendered, manifest.Rendered{Name: name, Data: object.YAML})
	}
	return rendered, declaredIn, nil
}
