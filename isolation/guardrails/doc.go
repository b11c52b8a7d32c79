// Package guardrails judges whether the guardrails around tenants exist and are in force. It judges by effect: for every
// tenant namespace, with the rights that the tenant has, canonical hostile requests are sent to the admission of the
// snapshot, each next to a harmless twin (Probes lists them). A request that RBAC does not let the tenant send is not asked.
// What is admitted is exposed, and what would have refused it is blamed: a policy or binding that is missing, does not deny
// or does not match, or the namespace that it does not select. Where both twins are refused, nothing is proven: Unknown.
//
// Some guardrails have no effect that a single request shows, and are compared as they are: quotas (present, counting every
// kind that the tenant may create, adding up to no more than the tenant has), limit ranges, Pod Security labels, and the
// labels and annotations that Bulkhead's policies read.
//
// Not judged: what an API server's own flags switch off (a plugin, exemptions of Pod Security), and what webhooks answer.
package guardrails
