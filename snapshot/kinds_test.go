package snapshot

import (
	"fmt"
	"strings"
	"testing"
)

// Promise: every kind is there once, with its name, and what controllers create from a kind is in the table, too.
func TestKinds(t *testing.T) {
	seen, names := map[string]bool{}, map[string]bool{}
	for _, k := range Kinds() {
		id := k.Group + "/" + k.Resource
		if seen[id] || names[k.Group+"/"+k.Name] {
			t.Errorf("%s is there twice", id)
		}
		seen[id], names[k.Group+"/"+k.Name] = true, true
		if got, known := KindOf(k.Group, k.Resource); !known || got.Name != k.Name {
			t.Errorf("KindOf does not find %s", id)
		}
		if (k.OwnersCreate || k.PodSpec != nil) && !k.Namespaced || k.Resource != strings.ToLower(k.Resource) {
			t.Errorf("%+v cannot be", k)
		}
		for _, made := range k.Creates {
			group, resource, _ := strings.Cut(made, "/")
			if made, known := KindOf(group, resource); !known || !made.Namespaced {
				t.Errorf("%s creates %s/%s, which is not in the table", id, group, resource)
			}
		}
	}
	if _, known := KindOf("example.com", "widgets"); known {
		t.Error("an unknown kind is known")
	}
	for kind, want := range map[string]string{"/pods": "[count/pods]", "/secrets": "[count/secrets secrets]", "apps/deployments": "[count/deployments.apps]"} {
		group, resource, _ := strings.Cut(kind, "/")
		if k, _ := KindOf(group, resource); fmt.Sprint(k.QuotaKeys()) != want {
			t.Errorf("%s is counted by %v, want %s", kind, k.QuotaKeys(), want)
		}
	}
}
