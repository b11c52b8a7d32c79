// Command bulkhead is the control plane for Kubernetes platforms that many tenants share.
package main

import (
	"os"

	"github.com/bulkhead-dev/bulkhead/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
