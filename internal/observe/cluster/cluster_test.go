package cluster

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	componentversion "k8s.io/component-base/version"
)

// Promise: built-in kinds come in their Go types, which drop what they lack, only from an API server that knows no more
// fields than these types.
func TestNewerServersAreReadAsJSON(t *testing.T) {
	known := version.MustParseGeneric(componentversion.DefaultKubeBinaryVersion)
	of := func(minor uint, rest string) string { return fmt.Sprintf("v%d.%d%s", known.Major(), minor, rest) }
	for server, want := range map[string]bool{
		of(known.Minor(), ".0"): false, of(known.Minor(), ".9-gke.1200"): false, of(known.Minor()-1, ".3+k3s1"): false,
		of(known.Minor()+1, ".0"): true, of(known.Minor()+1, ".0-alpha.1"): true, fmt.Sprintf("v%d.0.0", known.Major()+1): true,
		"": true, "unknown": true, "v0.0.0-master+$Format:%H$": true,
	} {
		if got := isNewer(server); got != want {
			t.Errorf("%q: %v, want %v", server, got, want)
		}
	}
}
