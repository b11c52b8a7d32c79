package kubeadmission_test

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Promise: an image whose name holds no registry counts under its full name of docker.io, and what only looks like such a name does not.
func TestImagesOfDockerHub(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	names := map[string][]string{ // by the registries that allow them, and no fewer
		"docker.io docker.io/library": {"postgres", "postgres:16", "postgres:16-alpine" + digest, "postgres" + digest, "library/postgres", "library/postgres:16", "docker.io/postgres:16",
			"docker.io/library/postgres", "index.docker.io/postgres", "index.docker.io/library/postgres", "under_score__x:V1", "localhost", "docker.io", "a.b:5000"},
		"docker.io docker.io/team": {"team/web", "team/web:1" + digest, "docker.io/team/web", "index.docker.io/team/web", "team/sub/web"},
		"docker.io":                {"teams/web", "docker.io/teams/web", "team-too/web"},
		"": {"localhost/postgres", "localhost/library/postgres", "localhost:5000/postgres", "library.io/postgres", "a.b/x", "library:5000/postgres", "team:5000/web",
			"sha256:" + strings.Repeat("a", 64), strings.Repeat("a", 64), strings.Repeat("a", 64) + digest, "sha256" + digest, "Team/web", "TEAM/web", "docker.io.invalid/postgres", "docker.iox/postgres", "",
			"docker.io:5000/postgres", "docker.io:443/library/postgres", "index.docker.io.invalid/team/web", "xindex.docker.io/team/web", "team//web", "/postgres", "/team/web",
			"-x", "team/../web", "postgres:16/web", "team/web:1:2", "registry-1.docker.io/library/postgres", "http://docker.io/postgres", "p@stgres", " postgres", "postgres "},
	}
	for _, registry := range []string{"docker.io", "docker.io/library", "docker.io/team", "index.docker.io/team", "registry.example.com"} {
		s := magazine(t)
		contents := *s
		contents.ValidatingPolicies = slices.Clone(s.ValidatingPolicies)
		for _, o := range guardrail.Policies(&v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{Registries: []string{registry}, SchedulerNames: []string{"default-scheduler"}}}) {
			p, is := o.(*admissionv1.ValidatingAdmissionPolicy)
			if i := slices.IndexFunc(contents.ValidatingPolicies, func(x *admissionv1.ValidatingAdmissionPolicy) bool { return is && x.Name == p.Name }); i >= 0 && p.Name == "bulkhead-images" {
				contents.ValidatingPolicies[i] = p
			}
		}
		changed, err := snapshot.New(contents)
		if err != nil {
			t.Fatal(err)
		}
		e, err := kubeadmission.New(changed, rbac.New(changed), nil)
		if err != nil {
			t.Fatal(err)
		}
		for allowed, list := range names {
			for _, name := range list {
				pod := plainPod()
				pod.Spec.Containers[0].Image = name
				a := e.Admit(create("newsroom--site", pod))
				want := slices.Contains(strings.Fields(allowed), strings.TrimPrefix(registry, "index."))
				if a.Admitted != want || !want && (len(a.RefusedBy) != 1 || a.RefusedBy[0].Control != "images") {
					t.Errorf("%s: image %q admitted %v, want %v: %+v", registry, name, a.Admitted, want, a.RefusedBy)
				}
			}
		}
	}
}
