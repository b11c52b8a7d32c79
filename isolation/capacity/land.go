package capacity

import (
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// landing is where a request lands.
type landing struct {
	schema *flowcontrolv1.FlowSchema
	level  *flowcontrolv1.PriorityLevelConfiguration
	// flow identifies a flow of a schema; byWhat is its distinguisher.
	flow, byWhat string
	// long requests go through whole collections.
	long bool
}

// meant are the FlowSchema and the priority level that Bulkhead has for such a request of a tenant, with what it is called.
func (l *landing) meant(tenant string) (schema, level snapshot.Ref, called string) {
	schema, level, called = snapshot.Ref{Kind: "FlowSchema", Name: v1alpha1.FlowSchemaName(tenant)},
		snapshot.Ref{Kind: "PriorityLevelConfiguration", Name: v1alpha1.PriorityLevelName(tenant)}, "requests"
	if l.long {
		schema.Name, level.Name, called = v1alpha1.ListsFlowSchemaName(tenant), v1alpha1.ListsLevelName, "lists"
	}
	return schema, level, called
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
		return "user " + rbac.UserServiceAccount + s.ServiceAccount.Namespace + ":" + s.ServiceAccount.Name
	}
	return "no user"
}

// keysOf a subject of a rule: with the namespace behind it for a rule that is about some namespaces and nothing else.
func keysOf(s *flowcontrolv1.Subject, r *flowcontrolv1.PolicyRulesWithSubjects) []string {
	subject := flowSubject(s)
	var keys []string
	for i := range r.ResourceRules {
		n := &r.ResourceRules[i]
		if n.ClusterScope || slices.Contains(n.Namespaces, flowcontrolv1.NamespaceEvery) {
			return []string{subject}
		}
		for _, ns := range n.Namespaces {
			keys = append(keys, inNamespace(subject, ns))
		}
	}
	if len(r.NonResourceRules) > 0 {
		return []string{subject}
	}
	return keys
}

func inNamespace(subject, namespace string) string { return subject + " in " + namespace }

// land finds the FlowSchema that takes a request; nil where none does.
func (c *capacity) land(s finding.Subject, a *finding.Attributes) *landing {
	keys := []string{"user " + s.User, "user *", "group *"}
	for _, g := range s.Groups {
		keys = append(keys, "group "+g)
	}
	if rest, is := strings.CutPrefix(s.User, rbac.UserServiceAccount); is {
		namespace, _, _ := strings.Cut(rest, ":")
		keys = append(keys, "accounts "+namespace)
	}
	indexed := slices.Clone(keys)
	if a.Namespace != "" {
		for _, key := range keys {
			indexed = append(indexed, inNamespace(key, a.Namespace))
		}
	}
	best := -1
	for _, key := range indexed {
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

// flowMatches reports whether one rule names both a subject of keys and the request.
func flowMatches(s *flowcontrolv1.FlowSchema, keys []string, a *finding.Attributes) bool {
	return slices.ContainsFunc(s.Spec.Rules, func(r flowcontrolv1.PolicyRulesWithSubjects) bool {
		if !slices.ContainsFunc(r.Subjects, func(s flowcontrolv1.Subject) bool { return slices.Contains(keys, flowSubject(&s)) }) {
			return false
		}
		if a.Path != "" {
			return slices.ContainsFunc(r.NonResourceRules, func(n flowcontrolv1.NonResourcePolicyRule) bool {
				return rbac.Names(n.Verbs, a.Verb) && slices.ContainsFunc(n.NonResourceURLs, func(pattern string) bool { return rbac.PathMatches(pattern, a.Path) })
			})
		}
		return slices.ContainsFunc(r.ResourceRules, func(n flowcontrolv1.ResourcePolicyRule) bool {
			where := n.ClusterScope
			if a.Namespace != "" {
				where = rbac.Names(n.Namespaces, a.Namespace)
			}
			return where && rbac.Names(n.Verbs, a.Verb) && rbac.Names(n.APIGroups, a.Group) && rbac.Names(n.Resources, a.Resource)
		})
	})
}

// withBuiltInFlows adds, to what files declare, the FlowSchemas and priority levels that every API server makes.
func withBuiltInFlows(schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration,
) ([]*flowcontrolv1.FlowSchema, []*flowcontrolv1.PriorityLevelConfiguration) {
	return withMissing(schemas, bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas),
		withMissing(levels, bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations)
}

// withMissing adds the objects of whose name there is none.
func withMissing[T metav1.Object](list []T, more ...[]T) []T {
	list = slices.Clone(list)
	for _, o := range slices.Concat(more...) {
		if !slices.ContainsFunc(list, func(other T) bool { return other.GetName() == o.GetName() }) {
			list = append(list, o)
		}
	}
	return list
}
