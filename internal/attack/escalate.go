package attack

import (
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// roleAttacks raise the tenant's own rights, or share them with whom they are not for.
func roleAttacks() []Attack {
	const control = "rbac-escalate"
	bound := func(id, title string, role string, to func(Scene) rbacv1.Subject, refusal Refusal) Attack {
		a := ownObject(id, control, title, shareRole(), bindRole(title, role, to), refusal)
		a.Applies = nil
		return a
	}
	group := func(name string) func(Scene) rbacv1.Subject {
		return func(Scene) rbacv1.Subject {
			return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}
		}
	}
	stranger := func(s Scene) rbacv1.Subject {
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: "bulkhead-attack--stranger", Name: "default"}
	}
	escalation, policy := Refusal{By: Escalation}, byPolicy("role-bindings")
	attacks := []Attack{
		bound("bind-cluster-admin", "gives itself cluster-admin in its namespace", "cluster-admin", ownAccount, escalation),
		bound("bind-admin", "gives itself Kubernetes' admin in its namespace", "admin", ownAccount, escalation),
		bound("bind-edit", "gives itself Kubernetes' edit in its namespace", "edit", ownAccount, escalation),
		bound("share-with-everybody", "opens its namespace to everybody who is authenticated", v1alpha1.RoleOwner, everybody, policy),
		bound("share-with-nobody", "opens its namespace to whoever is not even authenticated", v1alpha1.RoleOwner, group("system:unauthenticated"), policy),
		bound("share-with-accounts", "opens its namespace to every service account of the cluster", v1alpha1.RoleOwner, group(serviceAccounts), policy),
		bound("share-with-strangers", "opens its namespace to another tenant's service account", v1alpha1.RoleOwner, stranger, policy),
		bound("share-with-their-accounts", "opens its namespace to all of another namespace's service accounts", v1alpha1.RoleOwner,
			group(serviceAccounts+":"+metav1.NamespaceSystem), policy),
	}
	for id, rule := range map[string]rbacv1.PolicyRule{
		"everything":  {APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		"quotas":      {APIGroups: []string{""}, Resources: []string{"resourcequotas"}, Verbs: []string{"update"}},
		"bindings":    {APIGroups: []string{""}, Resources: []string{"pods/binding"}, Verbs: []string{"create"}},
		"endpoints":   {APIGroups: []string{""}, Resources: []string{"endpoints"}, Verbs: []string{"update"}},
		"impersonate": {APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate"}},
		"escalate":    {APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, Verbs: []string{"escalate", "bind"}},
	} {
		title := "writes into a Role what it may not itself: " + id
		created := ownObject("role-"+id, control, title, createRole("create a Role within its own rights", mayReadPods), createRole(title, rule), escalation)
		changed := ownObject("role-"+id+"-by-patch", control, title+", afterwards",
			patchOwn("change a Role within its own rights", rbacv1.GroupName, "roles", map[string]any{"rules": []any{mayReadMaps}}),
			patchOwn(title+", afterwards", rbacv1.GroupName, "roles", map[string]any{"rules": []any{rule}}), escalation)
		created.Applies, changed.Applies = nil, nil
		attacks = append(attacks, created, changed)
	}
	return attacks
}

var (
	mayReadPods = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}
	mayReadMaps = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}
)

func createRole(title string, rule rbacv1.PolicyRule) Step {
	return create(title, rbacv1.GroupName, "roles", func(s Scene) any {
		return &rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}, ObjectMeta: marked(s), Rules: []rbacv1.PolicyRule{rule}}
	})
}

// askedRights are rights that no tenant may have, of which the authorizer alone knows: to use them for real would take what a
// tenant must not have in the first place.
func askedRights() []Attack {
	const control, all = "rbac-escalate", Owners | ServiceAccounts
	const auth, certificates = "authentication.k8s.io", "certificates.k8s.io"
	table := []struct{ id, verb, group, resource, title string }{
		{"impersonate-groups", "impersonate", "", "groups", "acts as any group"},
		{"impersonate-accounts", "impersonate", "", "serviceaccounts", "acts as any service account"},
		{"impersonate-uids", "impersonate", auth, "uids", "acts as any UID"},
		{"impersonate-extras", "impersonate", auth, "userextras", "claims any extra fact about itself"},
		{"impersonate-user-info", "impersonate:user-info", auth, "users", "acts as any user where a right says so"},
		{"impersonate-account", "impersonate:serviceaccount", auth, "serviceaccounts", "acts as any service account where a right says so"},
		{"impersonate-node", "impersonate:arbitrary-node", auth, "nodes", "acts as any node where a right says so"},
		{"bind-roles", "bind", rbacv1.GroupName, "roles", "binds any Role"},
		{"escalate-roles", "escalate", rbacv1.GroupName, "roles", "writes rights that it lacks into Roles"},
		{"approve", "approve", certificates, "signers", "approves certificates"},
		{"sign", "sign", certificates, "signers", "signs certificates"},
		{"attest", "attest", certificates, "signers", "vouches for trust bundles"},
		{"nodes-proxy-write", "create", "", "nodes/proxy", "runs commands by the kubelets' API"},
		{"wildcard", "*", "*", "*", "may do everything"},
	}
	attacks := make([]Attack, 0, len(table))
	for _, row := range table {
		attacks = append(attacks, rights(row.id, control, row.title, all, may(row.verb, row.group, row.resource, clusterWide)))
	}
	return attacks
}

// pathAttacks read what is no resource.
func pathAttacks() []Attack {
	var attacks []Attack
	for id, path := range map[string]string{
		"metrics": "/metrics", "logs": "/logs/", "profiles": "/debug/pprof/", "configuration": "/configz", "flows": "/debug/api_priority_and_fairness/dump_requests",
	} {
		title := "reads the API server's " + id
		attacks = append(attacks, Attack{ID: "rbac-enumerate/path-" + id, Control: "rbac-enumerate", Title: title, By: Owners | ServiceAccounts,
			PositiveControl: Step{Title: "read the version", Ask: func(Scene) (Ask, error) {
				return Ask{Real: &Real{Request: Request{Verb: "get", Path: "/version"}}}, nil
			}},
			Attempt: Step{Title: title, Ask: func(Scene) (Ask, error) {
				return Ask{Real: &Real{Request: Request{Verb: "get", Path: path, RightOnly: true}}}, nil
			}}, Refusal: Refusal{By: RBAC}})
	}
	return attacks
}

// credentialAttacks come by an identity that the workload was not given.
func credentialAttacks() []Attack {
	const control = "token"
	credentials := byPolicy("token-credentials")
	secret := func(title string, kind corev1.SecretType) Step {
		return create(title, "", "secrets", func(s Scene) any {
			o := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: marked(s), Type: kind}
			o.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
			return o
		})
	}
	request := func(title, account string, audiences ...string) Step {
		return Step{Title: title, Ask: func(s Scene) (Ask, error) {
			namespace, err := inOwn(s)
			return Ask{DryRun: &Request{Version: "v1", Namespace: namespace, Resource: "serviceaccounts", Name: account, Subresource: "token",
				Body: &authenticationv1.TokenRequest{TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
					Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}}}, err
		}}
	}
	plain := secret("create a Secret", corev1.SecretTypeOpaque)
	eternal := ownObject("secret", control, "keeps a token that never expires in a Secret", plain,
		secret("create a Secret of a service account's token", corev1.SecretTypeServiceAccountToken), credentials)
	withheld := ownObject("request", control, "requests a token that the workload does not declare", plain,
		request("request a token of its own service account", "default"), credentials)
	withheld.Applies = callsAPI(false)
	audience := ownObject("request-audience", control, "requests an identity for somebody outside of the cluster",
		request("request a token for the API server", "default"), request("request a token for somebody else", "default", "bulkhead-attack.invalid"), credentials)
	audience.Applies = callsAPI(true)
	return append([]Attack{eternal, withheld, audience}, mendedToken())
}

// mendedToken is a pod that says nothing about its token, which then must not get one.
func mendedToken() Attack {
	a := podAttack("by-default", "token", "gets a token without asking, though its workload does not declare one", nil, Refusal{By: Mended})
	a.Applies = callsAPI(false)
	a.Or = byPolicy("token-pods") // where the service account was made to say yes, which nobody but a tenant's owner would do
	a.Attempt = mendedPod("create a pod that says nothing about a token", specChange(func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = nil }),
		func(pod *corev1.Pod) string {
			for _, v := range pod.Spec.Volumes {
				if v.Projected != nil && strings.HasPrefix(v.Name, "kube-api-access-") {
					return ""
				}
			}
			return "the pod was accepted without a token"
		})
	return a
}

// mendedPod is a pod that admission accepts and completes. Why it is harmless then, safe says; empty when it is not.
func mendedPod(title string, change podChange, safe func(*corev1.Pod) string) Step {
	step := createPod(title, change)
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		ask, err := step.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(r Reply) Answer {
			var pod corev1.Pod
			if err := decode(r.Object, &pod); err != nil {
				return problem("%v", err)
			}
			if says := safe(&pod); says != "" {
				return Answer{Refusal: Refusal{By: Mended, Says: says}}
			}
			return Answer{Allowed: true}
		}
		return ask, nil
	}}
}

// mendedAttacks leave out what the platform demands, and then must get it.
func mendedAttacks() []Attack {
	var attacks []Attack
	for _, pull := range []corev1.PullPolicy{corev1.PullIfNotPresent, corev1.PullNever} {
		a := podAttack("pull-"+strings.ToLower(string(pull)), "images", "runs an image of others from a node's disk (imagePullPolicy "+string(pull)+")", nil, Refusal{By: Mended})
		a.Attempt = mendedPod("create a pod with imagePullPolicy "+string(pull), func(_ Scene, pod *corev1.Pod) error {
			addInit(pod).ImagePullPolicy = pull
			pod.Spec.Containers[0].ImagePullPolicy = pull
			return nil
		}, alwaysPulled)
		attacks = append(attacks, a)
	}
	placed := podAttack("by-default", "node-affinity", "lands on shared nodes, though its tenant has nodes of its own", nil, Refusal{By: Mended})
	placed.Applies = func(s Scene) bool {
		_, decided, found := s.Workload()
		return inForce("node-affinity")(s) && found && decided.Pattern == "SoftAffinity"
	}
	placed.Attempt = mendedPod("create a pod that says nothing about nodes", unchanged, func(pod *corev1.Pod) string {
		if tenant := pod.Spec.NodeSelector[v1alpha1.LabelNodeTenant]; tenant != "" {
			return "the pod was accepted for the nodes of " + tenant
		}
		return ""
	})
	sandboxed := podAttack("by-default", "runtime", "runs on the host's kernel, though its workload needs a sandbox", nil, Refusal{By: Mended})
	sandboxed.Applies = needsSandbox
	sandboxed.Attempt = mendedPod("create a pod that names no RuntimeClass", specChange(func(s *corev1.PodSpec) { s.RuntimeClassName = nil }), func(pod *corev1.Pod) string {
		if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName == "" {
			return ""
		}
		return "the pod was accepted with RuntimeClass " + *pod.Spec.RuntimeClassName
	})
	return append(attacks, placed, sandboxed)
}

func alwaysPulled(pod *corev1.Pod) string {
	all := append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...)
	for i := range all {
		if all[i].ImagePullPolicy != corev1.PullAlways {
			return ""
		}
	}
	return fmt.Sprintf("imagePullPolicy was set to Always on %d containers", len(all))
}
