package invent

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// deepest value that is made up.
const deepest = 6

// maker makes values up by their types.
type maker struct {
	random  *rand.Rand
	schemas *Schemas
}

func pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

// chance is true once in so many times.
func chance(random *rand.Rand, in int) bool { return random.IntN(in) == 0 }

// value of a type; anything at all when it is not known.
func (m *maker) value(t *schema, depth int) any {
	t = m.schemas.resolve(t)
	switch {
	case t == nil || depth > deepest:
		return m.anything()
	case len(t.Enum) > 0 && !chance(m.random, 8):
		return clone(pick(m.random, t.Enum))
	case t.IntOrString:
		if chance(m.random, 2) {
			return m.number()
		}
		return m.text()
	}
	switch t.Type {
	case "object":
		return m.object(t, depth)
	case "array":
		list := []any{}
		for range m.random.IntN(3) {
			list = append(list, m.value(t.Items, depth+1))
		}
		return list
	case "string":
		return m.text()
	case "integer", "number":
		return m.number()
	case "boolean":
		return chance(m.random, 2)
	}
	return m.anything()
}

// object has what its type requires and some of the rest.
func (m *maker) object(t *schema, depth int) any {
	made := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(t.Properties)) {
		if slices.Contains(t.Required, name) || chance(m.random, 4+2*depth) {
			made[name] = m.value(t.Properties[name], depth+1)
		}
	}
	if len(t.Properties) == 0 {
		for range m.random.IntN(3) {
			made[m.text()] = m.value(t.entries(), depth+1)
		}
	}
	return made
}

// skeleton is an object of a kind of which nothing harmless is known.
func (m *maker) skeleton(k *Kind) map[string]any {
	made, _ := m.value(m.schemas.of(k.APIVersion, k.Type), 1).(map[string]any)
	if made == nil {
		made = map[string]any{}
	}
	delete(made, "status")
	delete(made, "metadata")
	made["apiVersion"], made["kind"] = k.APIVersion, k.Type
	return made
}

func (m *maker) number() any {
	return pick(m.random, []any{0, 1, 2, -1, 80, 443, 8080, 10250, 30000, 65535, 65536, 1 << 31, -(1 << 31), 1<<53 - 1})
}

// text that means something somewhere, or that looks like it.
func (m *maker) text() string {
	switch m.random.IntN(12) {
	case 0:
		return strings.Repeat("a", pick(m.random, []int{63, 64, 253, 254, 4096}))
	case 1:
		return lookAlike(pick(m.random, telling))
	case 2:
		return strings.ToUpper(pick(m.random, telling))
	}
	return pick(m.random, telling)
}

// telling are words by which some control, or some controller, goes.
var telling = []string{
	"", "*", "default", "kube-system", v1alpha1.SystemNamespace, "kube-public", "system:masters", "system:authenticated", "system:anonymous", "cluster-admin", "admin", "edit", "view",
	v1alpha1.ManagedBy, v1alpha1.LabelTenant, v1alpha1.LabelManagedBy, "kubernetes.io/metadata.name", "pod-security.kubernetes.io/enforce", "privileged",
	"NodePort", "LoadBalancer", "ExternalName", "ClusterIP", "None", "Exists", "Equal", "In", "NotIn", "Always", "Never", "Unconfined", "Unmasked", "Host",
	"/", "/etc", "/var/run/secrets/kubernetes.io/serviceaccount", "..", "../..", "10.0.0.1", "169.254.169.254", "0.0.0.0/0", "::/0", "127.0.0.1",
	"kubernetes.default.svc", "localhost", "100%", "1Gi", "-1", "1e9", "10m", "TCP", "SCTP", "true", "null", "{{ . }}", "$(HOME)", "x", "1",
}

// lookAlike is a text that people read as the same: Cyrillic for Latin, a space that has no width, a wide letter.
func lookAlike(text string) string {
	if text == "" {
		return "\u200b"
	}
	return strings.NewReplacer("a", "а", "e", "е", "o", "о", "c", "с", "/", "／", ".", "．").Replace(text)
}

// anything is a value of no type in particular.
func (m *maker) anything() any {
	switch m.random.IntN(7) {
	case 0:
		return nil
	case 1:
		return m.number()
	case 2:
		return chance(m.random, 2)
	case 3:
		return []any{m.text()}
	case 4:
		return map[string]any{m.text(): m.text()}
	case 5:
		return strings.Repeat("x", 1<<pick(m.random, []int{4, 10, 16}))
	}
	return m.text()
}
