// Package pods judges pods, in two checks: what pods let a tenant do to nodes (Check), and who runs on which node
// (NodesCheck).
//
// Escalation through pods: what every pod of a tenant, and every pod that a tenant could create, lets its author do to the
// node, and which other tenants that compromises.
//
//   - Pod Security's own rules, in the newest version, define what is a way out; a table grades what it gives, each grade
//     with its precondition (escapes, capabilities, paths). A rule of the library without a grade counts as Medium.
//   - Every container counts: init, ephemeral and ordinary ones. A pod without a node yet, and a workload that stands for
//     its pods, count as running wherever they may be scheduled. Completed pods do not run any more.
//   - PersistentVolumes that are paths of a node count like hostPath for the pods of the namespace that claimed them.
//   - A tenant can create what RBAC lets its subjects create and admission does not refuse (hostilePods): as a pod, as the
//     template of every kind of workload whose controller then creates the pod, by changing the template of an existing
//     workload, and as a container for debugging in an existing pod (pods/ephemeralcontainers). A policy may know one of
//     these and forget another, or exempt what carries a label. Nothing else of an existing pod that is a way out can
//     change: only images, which are the tenant's already, and by pods/resize its amounts of cpu and memory. Unmasked /proc
//     is not tried, as the API server allows it in user namespaces only.
//   - The platform's own pods may be privileged: that tenants cannot exec into or change them is shown by package rbac.
//
// Not judged, because a pod's spec does not hold it: devices that device plugins and resource claims hand out, faults in
// kernels, runtimes and kubelets (such as those of subPath), and exemptions in the API server's own configuration.
//
// Nodes: that tenants share nodes is no fault by itself: it decides who is compromised with a node, which Check reports. It
// is one where a tenant has nodes of its own (Tenant.Nodes):
//
//   - no other tenant's pods run there, nor may be scheduled there: every node of the group has a taint that keeps pods away
//     (NoSchedule, NoExecute), which no pod of others tolerates, and which admission lets no other tenant tolerate or bypass
//     by naming the node;
//   - the tenant's pods run nowhere else: existing ones select the group, and so does a plain pod once admission has stored
//     it. In Bulkhead's namespaces that holds for those of pattern SoftAffinity, elsewhere for all;
//   - label and taint of a node agree, and the label is one that kubelets cannot set themselves.
//
// And where a namespace demands a sandboxed runtime: its pods have it, and the RuntimeClass is one. The platform's own pods
// may run everywhere. placement decides where pods may run.
package pods
