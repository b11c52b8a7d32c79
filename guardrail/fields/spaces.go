package fields

// asDeclared is why a flow needs no control in admission.
const asDeclared = "A flow opens only as far as the peer's owners and the Platform declare it, without the addresses that are never reached."

// spaces is Bulkhead's own kind that owners write, in their home namespace.
var spaces = []Section{
	{"v1alpha1.Space", []Row{
		{"status", Server, "It is dropped: the subresource status is Bulkhead's.", ""},
		{"spec.from", Harmless, asDeclared, ""},
		{"spec.to", Harmless, asDeclared, ""},
		{"spec.internal", Harmless, "It is whether pods of the Space reach each other.", ""},
		{"spec.quota", Harmless, "It is a wish: the ledger grants no more than the tenant has.", ""},
		{"spec.workload", Harmless, "It names a workload that the platform declared for this tenant, and its decision.", ""},
	}},
}
