package rbac

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Codes of findings about rights.
const (
	codeCluster    = "BH1001"
	codeRunAs      = "BH1002"
	codeSecrets    = "BH1003"
	codeWrite      = "BH1004"
	codeRead       = "BH1005"
	codeDisrupt    = "BH1006"
	codeRaise      = "BH1007"
	codePose       = "BH1008"
	codeCertify    = "BH1009"
	codeExtend     = "BH1010"
	codeNodes      = "BH1011"
	codeGuardrail  = "BH1012"
	codeStorage    = "BH1013"
	codeTraffic    = "BH1014"
	codeEnumerate  = "BH1015"
	codeSharedKind = "BH1016"
	codePath       = "BH1017"
	codeWhose      = "BH1018"
	codeWhatKind   = "BH1019"
	codeDangling   = "BH1020"
	codeConnect    = "BH1021"
	codeWithheld   = "BH1022"
	codeActs       = "BH1023"
)

// reachesAs reports what holding a right leads on to.
type reachesAs int

const (
	// gains nothing further.
	gains reachesAs = iota
	// everyAccount of the namespace: its holder becomes any of them.
	everyAccount
	// namedAccount: its holder becomes the service accounts that the rule names, or any.
	namedAccount
	// podsAccounts: its holder becomes the service accounts of the pods that are there.
	podsAccounts
	// storedTokens: its holder reads the tokens that lie in Secrets.
	storedTokens
	// guards: it changes guardrails, unless admission refuses.
	guards
	// ingredient: it gives nothing alone; combinations look at it.
	ingredient
)

// scopeOf reports where a right lies.
type scopeOf int

const (
	// namespaceScoped: a RoleBinding gives it in its namespace.
	namespaceScoped scopeOf = iota
	// ofNamespace: it is of the Namespace itself; a RoleBinding gives it for its own.
	ofNamespace
	// clusterScoped: only a ClusterRoleBinding gives it.
	clusterScoped
)

// right is one line of the table of rights: what a verb on a resource gives to a subject that may use it on objects of others.
type right struct {
	verbs           []string
	group, resource string // the resource with its subresource
	scope           scopeOf
	code            string
	reaches         reachesAs
	// own is true where it matters in the tenant's own namespaces too: it reaches beyond them.
	own bool
	// whole is true where it amounts to the whole cluster when held in every namespace.
	whole bool
	// part is the ingredient that it is.
	part piece
	// yields is what the right leads to, after "so".
	yields string
}

func changes() []string { return []string{"create", "update", "patch"} }

func writes() []string { return []string{"create", "update", "patch", "delete", "deletecollection"} }

func reads() []string { return []string{"get", "list", "watch"} }

func edits() []string { return []string{"update", "patch"} }

func removes() []string { return []string{"delete", "deletecollection"} }

// on returns the same right for several resources of a group.
func (r right) on(group string, resources ...string) []right {
	list := make([]right, 0, len(resources))
	for _, resource := range resources {
		next := r
		next.group, next.resource = group, resource
		list = append(list, next)
	}
	return list
}

// tableOfRights is the table. What is in no line of it is judged by its kind: see class.
func tableOfRights() []right {
	return slices.Concat(workloadRights(), secretRights(), connectRights(), disruptRights(), trafficRights(), guardrailRights(),
		serverRights(), nodeRights(), storageRights(), ingredientRights())
}

func workloadRights() []right {
	run := right{verbs: []string{"create"}, code: codeRunAs, reaches: everyAccount, whole: true,
		yields: "runs pods as any service account there, with any Secret mounted"}
	change := run
	change.verbs = changes()
	enter := right{verbs: []string{"create"}, code: codeRunAs, reaches: podsAccounts, whole: true, yields: "acts as the pods there"}
	// Since Kubernetes 1.35 a websocket needs create; before, get was enough.
	maybeEnter := enter
	maybeEnter.verbs, maybeEnter.yields = []string{"get"}, "acts as the pods there, if the API server is older than 1.35"
	amend := enter
	amend.verbs, amend.yields = edits(), "runs its own code in the pods there"
	token := right{verbs: []string{"create"}, code: codeRunAs, reaches: namedAccount, whole: true, yields: "gets tokens of service accounts there"}
	pose := right{verbs: []string{"impersonate"}, code: codeRunAs, reaches: namedAccount, whole: true, yields: "acts as service accounts there"}
	return slices.Concat(
		run.on("", "pods"),
		change.on("", "replicationcontrollers"),
		change.on("apps", "daemonsets", "deployments", "replicasets", "statefulsets"),
		change.on("extensions", "daemonsets", "deployments", "replicasets"),
		change.on("batch", "cronjobs", "jobs"),
		amend.on("", "pods", "pods/ephemeralcontainers"),
		enter.on("", "pods/exec", "pods/attach"),
		maybeEnter.on("", "pods/exec", "pods/attach"),
		token.on("", "serviceaccounts/token"),
		pose.on("", "serviceaccounts"),
	)
}

func secretRights() []right {
	read := right{verbs: reads(), code: codeSecrets, reaches: storedTokens, yields: "reads Secrets there", part: partReadSecrets}
	return read.on("", "secrets")
}

func connectRights() []right {
	proxy := right{verbs: []string{"create", "get", "update", "patch", "delete"}, code: codeConnect,
		yields: "connects to what listens there, past every NetworkPolicy"}
	return proxy.on("", "pods/portforward", "pods/proxy", "services/proxy")
}

func disruptRights() []right {
	evict := right{verbs: []string{"create"}, code: codeDisrupt, yields: "evicts pods there"}
	remove := right{verbs: removes(), code: codeDisrupt, yields: "deletes pods there, and takes their place"}
	end := right{verbs: removes(), scope: ofNamespace, code: codeDisrupt, yields: "deletes the namespace with everything in it"}
	lease := right{verbs: writes(), code: codeDisrupt, yields: "takes controllers' leases and stops their work"}
	event := right{verbs: writes(), code: codeDisrupt, yields: "forges or floods events there"}
	device := right{verbs: edits(), code: codeDisrupt, own: true, yields: "gives itself devices of nodes that others have, past the scheduler"}
	return slices.Concat(evict.on("", "pods/eviction"), evict.on("lifecycle.k8s.io", "evictionrequests"), device.on("resource.k8s.io", "resourceclaims/status"), remove.on("", "pods"), end.on("", "namespaces"),
		lease.on("coordination.k8s.io", "leases"), event.on("", "events"), event.on("events.k8s.io", "events"))
}

func trafficRights() []right {
	send := right{verbs: changes(), code: codeTraffic, own: true, yields: "sends a Service's traffic to foreign addresses (CVE-2021-25740)"}
	claim := right{verbs: edits(), code: codeTraffic, own: true, yields: "claims addresses and so captures others' traffic (CVE-2020-8554)"}
	slip := right{verbs: edits(), code: codeTraffic, own: true, yields: "gives pods foreign addresses or slips them into Services"}
	return slices.Concat(send.on("", "endpoints"), send.on("discovery.k8s.io", "endpointslices"), claim.on("", "services/status"),
		slip.on("", "pods/status"))
}

func guardrailRights() []right {
	loosen := right{verbs: slices.Concat(edits(), removes()), code: codeGuardrail, reaches: guards, own: true, yields: "loosens its guardrails"}
	relabel := right{verbs: edits(), scope: ofNamespace, code: codeGuardrail, reaches: guards, own: true,
		yields: "changes the namespace's labels, which Pod Security and selectors of policies go by"}
	finish := right{verbs: edits(), scope: ofNamespace, code: codeGuardrail, own: true, yields: "lets a namespace vanish with things left in it"}
	found := right{verbs: []string{"create"}, scope: clusterScoped, code: codeGuardrail, yields: "creates namespaces without guardrails, with any labels"}
	policy := right{verbs: writes(), scope: clusterScoped, code: codeGuardrail, yields: "changes every tenant's guardrails"}
	pass := right{verbs: []string{"change"}, code: codeGuardrail, own: true, yields: "is let past Bulkhead's guardrails"}
	return slices.Concat(
		loosen.on("", "resourcequotas", "limitranges"),
		loosen.on("networking.k8s.io", "networkpolicies"),
		loosen.on("rbac.authorization.k8s.io", "rolebindings"),
		relabel.on("", "namespaces"),
		finish.on("", "namespaces/finalize", "namespaces/status"),
		found.on("", "namespaces"),
		policy.on("policy.networking.k8s.io", "adminnetworkpolicies", "baselineadminnetworkpolicies", "clusternetworkpolicies"),
		policy.on("flowcontrol.apiserver.k8s.io", "flowschemas", "prioritylevelconfigurations"),
		policy.on("scheduling.k8s.io", "priorityclasses"),
		policy.on(v1alpha1.GroupVersion.Group, "tenants", "platforms", "waivers"),
		pass.on(v1alpha1.GroupVersion.Group, "guardrails"),
	)
}

func serverRights() []right {
	hook := right{verbs: writes(), scope: clusterScoped, code: codeExtend, yields: "reads and rewrites what everyone sends to the API server, or lifts a guardrail"}
	api := right{verbs: changes(), scope: clusterScoped, code: codeExtend, yields: "answers for a whole API instead of its server"}
	convert := right{verbs: changes(), scope: clusterScoped, code: codeExtend, yields: "reads and rewrites everyone's custom resources through a conversion webhook"}
	ask := right{verbs: []string{"create"}, scope: clusterScoped, code: codeEnumerate, yields: "asks the API server about others' identities and rights"}
	const admission = "admissionregistration.k8s.io"
	return slices.Concat(
		ask.on("authentication.k8s.io", "tokenreviews"), ask.on("authorization.k8s.io", "subjectaccessreviews"),
		hook.on(admission, "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
			"validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
		api.on("apiregistration.k8s.io", "apiservices", "apiservices/status"),
		convert.on("apiextensions.k8s.io", "customresourcedefinitions", "customresourcedefinitions/status"),
	)
}

func nodeRights() []right {
	kubelet := right{verbs: []string{"get", "create"}, scope: clusterScoped, code: codeNodes, yields: "runs commands in every pod through the kubelets"}
	look := right{verbs: reads(), scope: clusterScoped, code: codeEnumerate, yields: "reads of every node's pods from its kubelet"}
	change := right{verbs: writes(), scope: clusterScoped, code: codeNodes, yields: "moves labels, taints and addresses of nodes, and with them everyone's pods"}
	place := right{verbs: []string{"create"}, code: codeNodes, own: true, yields: "puts pods on nodes of its choice, past the scheduler"}
	return slices.Concat(kubelet.on("", "nodes/proxy"),
		look.on("", "nodes/log", "nodes/stats", "nodes/metrics", "nodes/pods", "nodes/configz", "nodes/healthz"),
		change.on("", "nodes", "nodes/status"), place.on("", "pods/binding", "bindings"))
}

func storageRights() []right {
	volume := right{verbs: changes(), scope: clusterScoped, code: codeStorage, yields: "mounts any path of a node, or another's disk, by the back door"}
	class := right{verbs: writes(), scope: clusterScoped, code: codeStorage, yields: "decides how everyone's volumes are made and mounted"}
	return slices.Concat(volume.on("", "persistentvolumes"),
		class.on("storage.k8s.io", "storageclasses", "csidrivers", "csinodes", "volumeattachments", "volumeattributesclasses"))
}
