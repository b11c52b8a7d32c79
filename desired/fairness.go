package desired

import (
	"cmp"
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	// PriorityLevelName is the PriorityLevelConfiguration that all tenants share.
	PriorityLevelName = "bulkhead-tenants"
	// FlowSchemaSystem is the FlowSchema of Bulkhead itself.
	FlowSchemaSystem = "bulkhead-system"

	// The API server asks FlowSchemas in ascending order of matchingPrecedence, and the first that matches decides. Its
	// own are exempt at 1, those of nodes, controllers and leader elections up to 900, service-accounts at 9000 and
	// global-default at 9900. Tenants come between: before the levels that they would otherwise share with everybody,
	// after those that keep the cluster alive.
	precedenceTenant = 8000
	precedenceSystem = 7000
)

// FlowSchemaName is the name of a tenant's FlowSchema.
func FlowSchemaName(tenant string) string { return "bulkhead-tenant-" + tenant }

// tenantPriorityLevel gives all tenants together a share of the API server's seats, fairly queued.
//
//   - Shares: 100 of the 345 that exist with the API server's own 245, so a good quarter of all seats is there for
//     tenants whatever the rest does, and tenants cannot starve the rest.
//   - Half of the seats may be lent while idle. Tenants may borrow as many as they own: bursts pass on an idle server.
//   - One tenant is one flow (its FlowSchema has no distinguisher). 512 queues and hands of 6: while 16 tenants flood
//     at once and fill 96 queues, another tenant finds all of its own 6 among them with a probability below 1 in
//     20,000. Six queues of 50 hold 300 waiting requests of one tenant; what is beyond gets 429.
func tenantPriorityLevel() *flowcontrolv1.PriorityLevelConfiguration {
	return &flowcontrolv1.PriorityLevelConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: flowcontrolv1.SchemeGroupVersion.String(), Kind: "PriorityLevelConfiguration",
		},
		ObjectMeta: clusterMeta(PriorityLevelName),
		Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: new(int32(100)),
				LendablePercent:          new(int32(50)),
				BorrowingLimitPercent:    new(int32(100)),
				LimitResponse: flowcontrolv1.LimitResponse{
					Type:    flowcontrolv1.LimitResponseTypeQueue,
					Queuing: &flowcontrolv1.QueuingConfiguration{Queues: 512, HandSize: 6, QueueLengthLimit: 50},
				},
			},
		},
	}
}

// systemFlowSchema puts Bulkhead itself on the level of the cluster's controllers, away from any tenant's flood.
func systemFlowSchema() *flowcontrolv1.FlowSchema {
	return flowSchema(clusterMeta(FlowSchemaSystem), "workload-high", precedenceSystem,
		[]flowcontrolv1.Subject{
			{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: ControllerGroup}},
			serviceAccounts(v1alpha1.SystemNamespace, v1alpha1.ManagedBy),
		})
}

// tenantFlowSchema makes of a tenant's people and of all that runs in its namespaces one flow. There is no
// distinguisher: by user or by namespace a tenant could multiply its share by making more of them.
func tenantFlowSchema(t *v1alpha1.Tenant, namespaces []string) *flowcontrolv1.FlowSchema {
	list := make([]flowcontrolv1.Subject, 0, len(t.Spec.Owners)+len(namespaces))
	for _, o := range t.Spec.Owners {
		switch o.Kind {
		case rbacv1.UserKind:
			list = append(list, flowcontrolv1.Subject{
				Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: o.Name},
			})
		case rbacv1.GroupKind:
			list = append(list, flowcontrolv1.Subject{
				Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: o.Name},
			})
		case rbacv1.ServiceAccountKind:
			list = append(list, serviceAccounts(o.Namespace, o.Name))
		}
	}
	for _, ns := range namespaces {
		list = append(list, serviceAccounts(ns, flowcontrolv1.NameAll))
	}
	slices.SortFunc(list, compareFlowSubjects)
	list = slices.CompactFunc(list, func(a, b flowcontrolv1.Subject) bool { return compareFlowSubjects(a, b) == 0 })
	return flowSchema(tenantMeta("", FlowSchemaName(t.Name), t.Name), PriorityLevelName, precedenceTenant, list)
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

// flowSchema matches every request of the subjects.
func flowSchema(meta metav1.ObjectMeta, level string, precedence int32, list []flowcontrolv1.Subject,
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
					Verbs: all, APIGroups: all, Resources: all, ClusterScope: true, Namespaces: all,
				}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
			}},
		},
	}
}
