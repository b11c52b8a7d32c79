package isolation

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// compartments are the priority levels over which Bulkhead spreads tenants, by the FNV-1a hash of their names.
const compartments = 8

// landing is where a request lands.
type landing struct {
	schema *flowcontrolv1.FlowSchema
	level  *flowcontrolv1.PriorityLevelConfiguration
	// flow tells flows of one schema apart; byWhat is its distinguisher.
	flow, byWhat string
	// long requests go through whole collections.
	long bool
}

// meant are the FlowSchema and the priority level that Bulkhead has for such a request of a tenant, with what it is called.
func (l *landing) meant(tenant string) (schema, level Object, called string) {
	if l.long {
		return Object{Kind: "FlowSchema", Name: "bulkhead-lists-" + tenant}, Object{Kind: "PriorityLevelConfiguration", Name: "bulkhead-tenants-lists"}, "lists"
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(tenant)) // never fails, by its documentation
	own := fmt.Sprintf("bulkhead-tenants-%d", hash.Sum32()%compartments)
	return Object{Kind: "FlowSchema", Name: "bulkhead-tenant-" + tenant}, Object{Kind: "PriorityLevelConfiguration", Name: own}, "requests"
}

// flowSubject is the key of a subject of a FlowSchema; * stands for all.
func flowSubject(s *flowcontrolv1.Subject) string {
	switch {
	case s.User != nil:
		return "user " + s.User.Name
	case s.Group != nil:
		return "group " + s.Group.Name
	case s.ServiceAccount != nil && s.ServiceAccount.Name == flowcontrolv1.NameAll:
		return "accounts " + s.ServiceAccount.Namespace
	case s.ServiceAccount != nil:
		return "user " + userServiceAccount + s.ServiceAccount.Namespace + ":" + s.ServiceAccount.Name
	}
	return "nobody"
}

// land finds the FlowSchema that takes a request; nil where none does.
func (c *capacity) land(s Subject, a *Attributes) *landing {
	keys := []string{"user " + s.User, "user *", "group *"}
	for _, g := range s.Groups {
		keys = append(keys, "group "+g)
	}
	if rest, is := strings.CutPrefix(s.User, userServiceAccount); is {
		namespace, _, _ := strings.Cut(rest, ":")
		keys = append(keys, "accounts "+namespace)
	}
	best := -1
	for _, key := range keys {
		for _, i := range c.bySubject[key] {
			if best >= 0 && i >= best {
				break
			}
			if flowMatches(c.schemas[i], keys, a) {
				best = i
				break
			}
		}
	}
	if best < 0 {
		return nil
	}
	schema := c.schemas[best]
	at := &landing{schema: schema, level: c.levels[schema.Spec.PriorityLevelConfiguration.Name],
		long: a.Verb == "list" || a.Verb == "watch" || a.Verb == "deletecollection"}
	if d := schema.Spec.DistinguisherMethod; d != nil {
		at.byWhat = string(d.Type)
		if d.Type == flowcontrolv1.FlowDistinguisherMethodByUserType {
			at.flow = s.User
		} else {
			at.flow = a.Namespace
		}
	}
	return at
}

// flowMatches says whether one rule names both a subject of keys and the request.
func flowMatches(s *flowcontrolv1.FlowSchema, keys []string, a *Attributes) bool {
	return slices.ContainsFunc(s.Spec.Rules, func(r flowcontrolv1.PolicyRulesWithSubjects) bool {
		if !slices.ContainsFunc(r.Subjects, func(s flowcontrolv1.Subject) bool { return slices.Contains(keys, flowSubject(&s)) }) {
			return false
		}
		if a.Path != "" {
			return slices.ContainsFunc(r.NonResourceRules, func(n flowcontrolv1.NonResourcePolicyRule) bool {
				return anyOr(n.Verbs, a.Verb) && slices.ContainsFunc(n.NonResourceURLs, func(pattern string) bool { return pathMatches(pattern, a.Path) })
			})
		}
		return slices.ContainsFunc(r.ResourceRules, func(n flowcontrolv1.ResourcePolicyRule) bool {
			where := n.ClusterScope
			if a.Namespace != "" {
				where = anyOr(n.Namespaces, a.Namespace)
			}
			return where && anyOr(n.Verbs, a.Verb) && anyOr(n.APIGroups, a.Group) && anyOr(n.Resources, a.Resource)
		})
	})
}
