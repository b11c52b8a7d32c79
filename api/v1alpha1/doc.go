// Package v1alpha1 holds Bulkhead's API: what a platform team, its tenants and its security team write (Platform,
// Tenant, Space, Waiver), and the conditions and reasons with which Bulkhead answers.
//
// Traits have the same spelling as in package decision, which turns them into a pattern; the two are kept apart so
// that a served API version does not change when the decision's own types do.
//
// +kubebuilder:object:generate=true
// +groupName=bulkhead.dev
package v1alpha1
