// Command kube is Kubernetes in one binary: etcd, the control plane, kubectl
// and simulated nodes. The program to be is named by the first argument, or
// by the name the binary is started under, so that symlinks called "etcd" or
// "kube-apiserver" work wherever the original binaries are expected.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	kubeversion "k8s.io/component-base/version"
)

// command is one of the programs inside the binary.
type command struct {
	name    string
	summary string
	// run reads its arguments from os.Args and returns the exit code.
	run func() int
}

func commands() []command {
	return []command{
		{"etcd", "the store", runEtcd},
		{"kube-apiserver", "the API server", runAPIServer},
		{"kube-controller-manager", "the built-in controllers", runControllerManager},
		{"kube-scheduler", "the scheduler", runScheduler},
		{"kubectl", "the command line client", runKubectl},
		{"kwok", "simulated nodes and pods", runKwok},
	}
}

// parentVariable names the process that this one must not outlive. Tests set it, so that a killed one leaves nothing behind.
const parentVariable = "KUBE_PARENT"

func main() {
	if err := endWithParent(); err != nil {
		fmt.Fprintln(os.Stderr, "kube:", err)
		os.Exit(1)
	}
	os.Exit(dispatch(os.Args, os.Stdout, os.Stderr))
}

func dispatch(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if cmd, ok := find(filepath.Base(args[0])); ok {
			return start(cmd, args)
		}
	}
	if len(args) > 1 {
		switch args[1] {
		case "version", "--version":
			printVersions(stdout)
			return 0
		}
		if cmd, ok := find(args[1]); ok {
			return start(cmd, args[1:])
		}
		fmt.Fprintf(stderr, "kube: unknown command %q\n", args[1])
	}
	printUsage(stderr)
	return 2
}

func find(name string) (command, bool) {
	// Windows is the reason for the suffix, should the binary ever be built there.
	name = strings.TrimSuffix(name, ".exe")
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd, true
		}
	}
	return command{}, false
}

// start hands over to cmd. The embedded programs all read os.Args, and kubectl
// looks at its own name there, so the arguments must look as if each program
// had been started directly.
func start(cmd command, args []string) int {
	os.Args = append([]string{cmd.name}, args[1:]...)
	return cmd.run()
}

func printUsage(w io.Writer) {
	fmt.Fprintln(w, "Usage: kube COMMAND [ARGUMENT...]   (or a symlink named like the command)")
	fmt.Fprintln(w, "\nCommands:")
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-24s %s\n", cmd.name, cmd.summary)
	}
	fmt.Fprintf(w, "  %-24s %s\n", "version", "print the versions inside this binary")
}

// printVersions reports what was linked in, as the Go toolchain recorded it,
// beside the version Kubernetes claims: the two differ only if the build
// forgot its -X flags, and then this is where it shows.
func printVersions(w io.Writer) {
	fmt.Fprintf(w, "kubernetes %s (reports %s)\n", linked("k8s.io/kubernetes"), kubeversion.Get().GitVersion)
	fmt.Fprintf(w, "etcd       %s\n", linked("go.etcd.io/etcd/server/v3"))
	fmt.Fprintf(w, "kwok       %s\n", linked("sigs.k8s.io/kwok"))
	fmt.Fprintf(w, "go         %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func linked(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return "not linked"
}
