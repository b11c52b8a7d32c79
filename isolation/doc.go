// Package isolation proves, from a snapshot, what every tenant can reach. A proof has three verdicts that are never mixed:
// isolated, exposed with a witness, and unknown with what is missing. What cannot be decided is unknown.
//
// Verify runs every check. The engines are packages of their own, each with its specification in doc.go: rbac, network,
// pods, guardrails, capacity. They share the values of package finding, and import no more than that, snapshot and rbac.
package isolation
