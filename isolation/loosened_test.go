package isolation_test

import (
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/internal/provertest"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// altered is a list in which the object of a name is a changed copy.
func altered[T interface {
	metav1.Object
	DeepCopy() T
}](list []T, namespace, name string, change func(T),
) []T {
	list = slices.Clone(list)
	for i, o := range list {
		if o.GetNamespace() == namespace && o.GetName() == name {
			list[i] = o.DeepCopy()
			change(list[i])
		}
	}
	return list
}

// Promise: what attacks on a real API server showed and the prover once did not is found, with its control and the object to blame.
func TestWhatAttacksShowedIsFound(t *testing.T) {
	p, err := provertest.Magazine()
	if err != nil {
		t.Fatal(err)
	}
	owners := func(group, resource, verb string) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) {
			s.ClusterRoles = altered(s.ClusterRoles, "", "bulkhead:space-owner", func(r *rbacv1.ClusterRole) {
				r.Rules = append(r.Rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}})
			})
		}
	}
	policy := func(name string, change func(*admissionv1.ValidatingAdmissionPolicySpec)) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) {
			s.ValidatingPolicies = altered(s.ValidatingPolicies, "", name, func(p *admissionv1.ValidatingAdmissionPolicy) { change(&p.Spec) })
		}
	}
	role := snapshot.Ref{Kind: "ClusterRole", Name: "bulkhead:space-owner"}
	quota := snapshot.Ref{Kind: "ResourceQuota", Namespace: "newsroom--site", Name: "bulkhead"}
	nodes := snapshot.Ref{Kind: "ValidatingAdmissionPolicy", Name: "bulkhead-node-affinity"}
	for _, m := range []struct {
		what, code, control string
		verdict             finding.Verdict
		blame               snapshot.Ref
		change              func(*snapshot.Snapshot)
	}{
		{"owners write events", "BH1022", "audit", finding.Exposed, role, owners("", "events", "create")},
		{"owners go through the API server's proxy", "BH1022", "rbac-escalate", finding.Exposed, role, owners("", "pods/proxy", "get")},
		{"only admission keeps owners from their quota", "BH1022", "guardrail", finding.Exposed, role, owners("", "resourcequotas", "patch")},
		{"a policy looks at creations alone", "BH4005", "node-affinity", finding.Exposed, nodes, policy(nodes.Name, func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConditions = append(slices.Clone(s.MatchConditions), admissionv1.MatchCondition{Name: "creations", Expression: "request.operation == 'CREATE'"})
		})},
		{"a policy leaves one kind of workload out", "BH4005", "node-affinity", finding.Exposed, nodes, policy(nodes.Name, func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.ExcludeResourceRules = append(s.MatchConstraints.ExcludeResourceRules, admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"*"}, Resources: []string{"statefulsets"}}}})
		})},
		{"a quota lets load balancers be made", "BH4022", "service-expose", finding.Exposed, quota, func(s *snapshot.Snapshot) {
			s.ResourceQuotas = altered(s.ResourceQuotas, quota.Namespace, quota.Name, func(q *corev1.ResourceQuota) {
				q.Spec.Hard[corev1.ResourceServicesLoadBalancers] = resource.MustParse("1000")
			})
		}},
		{"a quota is gone, and with it the bound on node ports", "BH4022", "service-expose", finding.Exposed, quota, func(s *snapshot.Snapshot) {
			s.ResourceQuotas = slices.DeleteFunc(slices.Clone(s.ResourceQuotas), func(q *corev1.ResourceQuota) bool { return q.Namespace == quota.Namespace })
		}},
		{"network policies are not looked at", "BH4023", "network-metadata", finding.Exposed, snapshot.Ref{Kind: "ValidatingAdmissionPolicyBinding", Name: "bulkhead-network-policies"},
			func(s *snapshot.Snapshot) {
				s.ValidatingBindings = slices.DeleteFunc(slices.Clone(s.ValidatingBindings), func(b *admissionv1.ValidatingAdmissionPolicyBinding) bool {
					return b.Name == "bulkhead-network-policies"
				})
			}},
		{"a tenant is on everybody's level", "BH5007", "api-fairness", finding.Exposed, snapshot.Ref{Kind: "FlowSchema", Name: "bulkhead-tenant-newsroom"}, func(s *snapshot.Snapshot) {
			s.FlowSchemas = altered(s.FlowSchemas, "", "bulkhead-tenant-newsroom", func(f *flowcontrolv1.FlowSchema) {
				f.Spec.PriorityLevelConfiguration.Name = "global-default"
			})
		}},
	} {
		t.Run(m.what, func(t *testing.T) {
			contents := *p.Snapshot
			m.change(&contents)
			s, err := snapshot.New(contents)
			if err != nil {
				t.Fatal(err)
			}
			r, err := p.Prove(s)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.Code == m.code && slices.Contains(f.Blame, m.blame) })
			if i < 0 || r.Findings[i].Verdict != m.verdict {
				t.Fatalf("there is no %s %s that blames %s", m.verdict, m.code, m.blame)
			}
			if code, _, _ := isolation.CodeByID(m.code); !slices.Contains(code.Controls, m.control) {
				t.Errorf("%s is not about %s, but %q", m.code, m.control, code.Controls)
			}
		})
	}
}

// Promise: a finding about rights, or about what admission lets through, has the request that shows it.
func TestFindingsHaveTheirRequests(t *testing.T) {
	p, err := provertest.Magazine()
	if err != nil {
		t.Fatal(err)
	}
	contents := *p.Snapshot
	contents.ClusterRoleBindings = append(slices.Clone(contents.ClusterRoleBindings), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "mistake"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "newsroom--site", Name: "default"}}})
	contents.ValidatingBindings = slices.DeleteFunc(slices.Clone(contents.ValidatingBindings), func(b *admissionv1.ValidatingAdmissionPolicyBinding) bool { return b.Name == "bulkhead-images" })
	s, err := snapshot.New(contents)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Prove(s)
	if err != nil {
		t.Fatal(err)
	}
	rbac := rbac.New(s)
	seen := map[string]bool{}
	for _, f := range r.Findings {
		if f.Verdict != finding.Exposed || f.Waiver != "" || f.Code[:3] != "BH1" && f.Code != "BH4002" {
			continue
		}
		seen[f.Code] = true
		if len(f.Requests) == 0 {
			t.Errorf("%s has no request: %s", f.Code, f.What)
		}
		for _, q := range f.Requests {
			if allowed, _ := rbac.Allowed(q.Subject, q.Attributes); !allowed {
				t.Errorf("%s: %s may not %+v", f.Code, q.Subject.User, q.Attributes)
			}
		}
	}
	if len(seen) < 2 || !seen["BH4002"] {
		t.Errorf("found only %v", seen)
	}
}
