// Package rbac judges what the identities of every tenant may do outside its own namespaces, and what they may become
// first. Authorizer answers as the API server's RBAC authorizer does; Reach follows the rights of every tenant.
//
// A tenant begins with its declared owners, the service accounts of its namespaces whether they exist or not, and the users
// and groups that no tenant declares and that are bound in its namespaces alone. Every authenticated user, every
// service account and the anonymous are followed once, for every tenant. From there every line of the table of rights
// (table.go, parts.go) is an edge: pods that run as other service accounts, tokens, impersonation, bindings and roles that
// raise rights, certificates, webhooks, nodes.
//
// What a tenant may do inside its own namespaces is allowed, except what reaches beyond: the guardrails (quotas,
// limit ranges, namespace labels, managed objects), addresses of others, nodes, and rights raised past what it was given.
// What admission refuses is not an edge. Where admission was not evaluated and something could refuse, the edge is Unknown.
//
// One finding is one fault, with the shortest path. What follows from a worse finding by the same fault is left out.
package rbac
