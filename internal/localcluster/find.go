package localcluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FindKube finds the binary that holds Kubernetes: the one named, else what the variable KUBE names, else the one
// next to this program, else ./bin/kube.
func FindKube(named string) (string, error) {
	if named == "" {
		named = os.Getenv("KUBE")
	}
	if named != "" {
		if !executable(named) {
			return "", fmt.Errorf("%s is not an executable file: name bin/kube, which `make kube` builds", named)
		}
		return filepath.Abs(named)
	}
	var candidates []string
	if self, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(self), "kube"))
	}
	candidates = append(candidates, filepath.Join("bin", "kube"))
	for _, candidate := range candidates {
		if executable(candidate) {
			return filepath.Abs(candidate)
		}
	}
	return "", fmt.Errorf("found no Kubernetes to run: there is no %s; build it with `make kube` in a checkout of Bulkhead, "+
		"or name an existing one with --kube or the variable KUBE", strings.Join(candidates, " and no "))
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
