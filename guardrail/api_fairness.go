package guardrail

import (
	"cmp"
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// apiFairnessControl gives every tenant its own share of the API server.
var apiFairnessControl = Control{
	ID: "api-fairness", Title: "No tenant floods the API server",
	Threat: "a tenant whose requests starve the others, such as a log enricher that asks for every line",
	How: "All users and pods of a tenant, and all others that act in its namespaces, are one flow on one of eight tenant priority levels of limited concurrency, so that a " +
		"flood fills only the seats of its own level. Their lists are one flow on one more level, so that no get waits for " +
		"another tenant's long list. The API server queues the flows of a level fairly and answers 429 to requests that " +
		"exceed the queues.",
	Objects: []string{"FlowSchema bulkhead-tenant-NAME", "FlowSchema bulkhead-lists-NAME",
		"PriorityLevelConfiguration bulkhead-tenants-*", "FlowSchema bulkhead-system"},
	Needs: "API Priority and Fairness on the API server (on by default), with no more seats (--max-requests-inflight, " +
		"--max-mutating-requests-inflight) than its processors have work for: fairness divides seats, not processors (`bulkhead check`, BHC207)",
	Fix: "Developer: watch instead of listing, and retry after what the answer says. Platform: look at the metrics " +
		"apiserver_flowcontrol_* of the level.",
	Mappings: []string{"K07"},
	cases:    []string{"own-flow", "own-lists"},
}

const (
	// The API server asks FlowSchemas in ascending order of matchingPrecedence, and the first that matches decides. Its
	// own are exempt at 1, those of nodes, controllers and leader elections up to 900, service-accounts at 9000 and
	// global-default at 9900. Tenants come between: before the levels that they would otherwise share with all users,
	// after those that keep the cluster alive.
	precedenceTenant = 8000
	precedenceLists  = 7900
	precedenceSystem = 7000
)

// tenantLevels give all tenants together a share of the API server's seats, fairly queued. A seat that is taken is not
// taken back, and a request that needs several holds up all that come after it until they are free: so what takes long
// and is wide has seats of its own, and no get waits for a list of a hundred megabytes.
//
//   - Tenant priority levels: a request waits until a seat of its level is free, however fair the queue before it is. One tenant's
//     flood keeps all seats of its level taken, so there are eight of them, and seven of eight tenants have no part in it.
//     Lists are on one level: each keeps a processor busy, and they have one bound together.
//   - Shares: 8 times 13 and 25 of the 374 that exist with the API server's own 245, so a third of all seats is there for
//     tenants whatever the rest does, and tenants cannot starve the rest. Half of them may be lent while idle, and none
//     borrowed: seats are borrowed for seconds, in which a flood takes them all.
//   - One tenant is one flow (its FlowSchemas have no distinguisher). Its requests wait in two of 1024 queues. The queues
//     are served in turn: another tenant's request waits behind at most two of a flood's, and not more, as it would with
//     larger hands. While 16 tenants flood at once and fill 32 queues, another finds both of its own among them with a
//     probability of 1 in 1,000; with one that floods, 1 in 500,000. Two queues of 100 hold 200 waiting requests of one
//     tenant; what is beyond gets 429.
func tenantLevels() []Object {
	levels := []Object{tenantLevel(v1alpha1.ListsLevelName, 25)}
	for _, name := range v1alpha1.PriorityLevelNames() {
		levels = append(levels, tenantLevel(name, 13))
	}
	return levels
}

func tenantLevel(name string, shares int32) *flowcontrolv1.PriorityLevelConfiguration {
	return &flowcontrolv1.PriorityLevelConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: flowcontrolv1.SchemeGroupVersion.String(), Kind: "PriorityLevelConfiguration",
		},
		ObjectMeta: clusterMeta(name),
		Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: &shares,
				LendablePercent:          new(int32(50)),
				BorrowingLimitPercent:    new(int32(0)),
				LimitResponse: flowcontrolv1.LimitResponse{
					Type:    flowcontrolv1.LimitResponseTypeQueue,
					Queuing: &flowcontrolv1.QueuingConfiguration{Queues: 1024, HandSize: 2, QueueLengthLimit: 100},
				},
			},
		},
	}
}

// systemFlowSchema puts Bulkhead itself on the level of the cluster's controllers, away from any tenant's flood.
func systemFlowSchema() *flowcontrolv1.FlowSchema {
	return flowSchema(clusterMeta(v1alpha1.FlowSchemaSystem), "workload-high", precedenceSystem, everyVerb(),
		[]flowcontrolv1.Subject{
			{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: v1alpha1.ControllerGroup}},
			serviceAccounts(v1alpha1.SystemNamespace, v1alpha1.ManagedBy),
		})
}

// everyVerb matches whatever is asked.
func everyVerb() []string { return []string{flowcontrolv1.NameAll} }

// longVerbs work on whole collections.
func longVerbs() []string { return []string{"deletecollection", "list", "watch"} }

// tenantFlowSchemas make of a tenant's people, of all that runs in its namespaces and of everybody's requests there one flow, on each
// level: whom an owner lets in costs the owner's share. There is no distinguisher: by user or by namespace a tenant could multiply its
// share by making more of them.
func tenantFlowSchemas(t *v1alpha1.Tenant, namespaces []string) []Object {
	list := flowSubjects(t, namespaces)
	lists := flowSchema(tenantMeta("", v1alpha1.ListsFlowSchemaName(t.Name), t.Name), v1alpha1.ListsLevelName, precedenceLists, longVerbs(), list)
	lists.Spec.Rules[0].NonResourceRules = nil // paths are not listed
	others := flowSchema(tenantMeta("", v1alpha1.FlowSchemaName(t.Name), t.Name), v1alpha1.PriorityLevelName(t.Name), precedenceTenant, everyVerb(), list)
	for _, schema := range []*flowcontrolv1.FlowSchema{lists, others} {
		schema.Spec.Rules = append(schema.Spec.Rules, flowcontrolv1.PolicyRulesWithSubjects{
			Subjects: []flowcontrolv1.Subject{inGroup("system:authenticated"), inGroup("system:unauthenticated")},
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{{Verbs: schema.Spec.Rules[0].ResourceRules[0].Verbs, APIGroups: []string{flowcontrolv1.APIGroupAll},
				Resources: []string{flowcontrolv1.ResourceAll}, Namespaces: namespaces}},
		})
	}
	return []Object{lists, others}
}

func inGroup(name string) flowcontrolv1.Subject {
	return flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: name}}
}

// flowSubjects are all who act for a tenant, sorted.
func flowSubjects(t *v1alpha1.Tenant, namespaces []string) []flowcontrolv1.Subject {
	list := make([]flowcontrolv1.Subject, 0, len(t.Spec.Owners)+len(namespaces))
	for _, o := range t.Spec.Owners {
		switch o.Kind {
		case rbacv1.UserKind:
			list = append(list, flowcontrolv1.Subject{
				Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: o.Name},
			})
		case rbacv1.GroupKind:
			list = append(list, inGroup(o.Name))
		case rbacv1.ServiceAccountKind:
			list = append(list, serviceAccounts(o.Namespace, o.Name))
		}
	}
	for _, ns := range namespaces {
		list = append(list, serviceAccounts(ns, flowcontrolv1.NameAll))
	}
	slices.SortFunc(list, compareFlowSubjects)
	return slices.CompactFunc(list, func(a, b flowcontrolv1.Subject) bool { return compareFlowSubjects(a, b) == 0 })
}

func serviceAccounts(namespace, name string) flowcontrolv1.Subject {
	return flowcontrolv1.Subject{
		Kind:           flowcontrolv1.SubjectKindServiceAccount,
		ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: namespace, Name: name},
	}
}

func compareFlowSubjects(a, b flowcontrolv1.Subject) int {
	key := func(s flowcontrolv1.Subject) (namespace, name string) {
		switch {
		case s.User != nil:
			return "", s.User.Name
		case s.Group != nil:
			return "", s.Group.Name
		default:
			return s.ServiceAccount.Namespace, s.ServiceAccount.Name
		}
	}
	aSpace, aName := key(a)
	bSpace, bName := key(b)
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(aSpace, bSpace), cmp.Compare(aName, bName))
}

// flowSchema matches every request of the subjects that has one of the verbs.
func flowSchema(meta metav1.ObjectMeta, level string, precedence int32, verbs []string, list []flowcontrolv1.Subject,
) *flowcontrolv1.FlowSchema {
	all := []string{flowcontrolv1.NameAll}
	return &flowcontrolv1.FlowSchema{
		TypeMeta:   metav1.TypeMeta{APIVersion: flowcontrolv1.SchemeGroupVersion.String(), Kind: "FlowSchema"},
		ObjectMeta: meta,
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level},
			MatchingPrecedence:         precedence,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: list,
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: verbs, APIGroups: all, Resources: all, ClusterScope: true, Namespaces: all,
				}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: verbs, NonResourceURLs: all}},
			}},
		},
	}
}
