// Package kustomization renders a kustomization as `kubectl kustomize` does, from local files only.
package kustomization

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Object is one object that was rendered.
type Object struct {
	// File is where it was declared, or the kustomization that generates it.
	File string
	YAML []byte
}

// Is reports whether a file of this name makes its folder a kustomization.
func Is(file string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(file))
}

// In reports whether a folder holds a kustomization.
func In(dir string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && !info.IsDir()
	})
}

// Render renders the kustomization in a folder. Files outside the folder and of its bases are not read, nothing is
// fetched, and no plugin runs. It changes this process for as long as it takes, so nothing else may use the network or start
// programs meanwhile.
func Render(dir string) ([]Object, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find kustomization %s: %w", dir, err)
	}
	objects, err := render(root)
	if err != nil {
		return nil, fmt.Errorf("render kustomization %s: %w", dir, withHint(err))
	}
	rendered := make([]Object, 0, objects.Size())
	for _, object := range objects.Resources() {
		file := dir
		if origin, err := object.GetOrigin(); err == nil && origin != nil {
			file = filepath.Join(dir, origin.Path, origin.ConfiguredIn) // it has one of the two
		}
		if err := object.SetOrigin(nil); err != nil {
			return nil, fmt.Errorf("render kustomization %s: %w", dir, err)
		}
		data, err := object.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("render kustomization %s: %w", dir, err)
		}
		rendered = append(rendered, Object{File: file, YAML: data})
	}
	return rendered, nil
}

// render runs kustomize without the network. kustomize has no switch for that: files are fetched with net/http's default
// transport, repositories with git.
func render(root string) (resmap.ResMap, error) {
	transport, programs := http.DefaultTransport, os.Getenv("PATH")
	defer func() {
		http.DefaultTransport = transport
		_ = os.Setenv("PATH", programs) // it was set before
	}()
	http.DefaultTransport = offline{}
	if err := os.Setenv("PATH", os.DevNull); err != nil {
		return nil, err
	}
	options := krusty.MakeDefaultOptions() // files of the kustomization's own folders only, no plugins
	return krusty.MakeKustomizer(options).Run(withOrigins{filesys.MakeFsOnDisk(), root}, root)
}

var errRemote = errors.New("remote files are not read")

// offline is a transport that refuses every request.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errRemote }

// withHint adds what to do about a remote base or file.
func withHint(err error) error {
	text := err.Error() // kustomize joins some errors as text
	if strings.Contains(text, "no 'git' program on path") || strings.Contains(text, errRemote.Error()) {
		return fmt.Errorf("it names remote files, which are not read: render it with `kubectl kustomize` and give the result with -f -: %w", err)
	}
	return err
}

// withOrigins is a file system whose kustomization in root asks for the origin of what it renders.
type withOrigins struct {
	filesys.FileSystem

	root string
}

// ReadFile reads a file, and adds that request to the kustomization in root.
func (f withOrigins) ReadFile(path string) ([]byte, error) {
	data, err := f.FileSystem.ReadFile(path)
	if err != nil || !Is(path) || !f.isRoot(filepath.Dir(path)) {
		return data, err
	}
	return withOriginRequest(data), nil
}

// withOriginRequest adds the request to a kustomization; one that cannot be parsed is returned as it is, for kustomize to refuse.
func withOriginRequest(data []byte) []byte {
	node, err := yaml.Parse(string(data))
	if err != nil {
		return data
	}
	options, err := node.Pipe(yaml.LookupCreate(yaml.SequenceNode, "buildMetadata"))
	if err != nil {
		return data
	}
	if err := options.PipeE(yaml.Append(yaml.NewStringRNode(types.OriginAnnotations).YNode())); err != nil {
		return data
	}
	text, err := node.String()
	if err != nil {
		return data
	}
	return []byte(text)
}

func (f withOrigins) isRoot(dir string) bool {
	root, _, err := f.CleanedAbs(f.root)
	return err == nil && root.String() == dir
}
