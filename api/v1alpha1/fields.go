package v1alpha1

// The forms that fields share. They are aliases, so that users of the Go types deal with plain strings; the rules are
// the API server's. Every rule has a message of its own, since a person reads it; patterns of OpenAPI have none.

// TenantName is the name of a Tenant.
//
// +kubebuilder:validation:MaxLength=28
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')",message="a tenant's name has at most 28 lower-case letters, digits and single hyphens, and neither starts nor ends with a hyphen"
type TenantName = string

// SpaceName is the name of a Space.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')",message="a space's name has at most 32 lower-case letters, digits and single hyphens, and neither starts nor ends with a hyphen"
type SpaceName = string

// Label is a DNS label (RFC 1123): the form of namespaces' names and of names that become a label's value.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower-case letters, digits and hyphens, and start and end with a letter or digit"
type Label = string

// Subdomain is a DNS subdomain (RFC 1123): the form of most objects' names.
//
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of an object: lower-case letters, digits, hyphens and dots; wildcards are not understood"
type Subdomain = string

// Word is free text that becomes part of reports and labels.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",message="must be letters, digits, hyphens, dots and underscores of ASCII, and start and end with a letter or digit"
type Word = string

// CIDR is a range of addresses with no bits set behind its prefix.
//
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a CIDR such as 203.0.113.0/24 or 2001:db8::/32; a single address is 203.0.113.7/32"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self).masked() == cidr(self)",message="the address has bits set behind the prefix: write the first address of the range, such as 10.0.0.0/8 for 10.1.2.3/8"
type CIDR = string

// Registry is where images come from: a host, optionally with a port and a path.
//
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="!self.contains('://')",message="a registry is written without a scheme: registry.example.com/team"
// +kubebuilder:validation:XValidation:rule="!self.endsWith('/')",message="a registry is written without a trailing slash: the comparison adds it"
// +kubebuilder:validation:XValidation:rule="!self.contains('*')",message="a registry has no wildcards: everything below it is allowed anyway"
// +kubebuilder:validation:XValidation:rule="self.contains('://') || self.endsWith('/') || self.contains('*') || self.matches('^(localhost|localhost:[0-9]{1,5}|([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])+[a-z0-9]([-a-z0-9]*[a-z0-9])?(:[0-9]{1,5})?|[a-z0-9]([-a-z0-9]*[a-z0-9])?:[0-9]{1,5})(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$')",message="a registry is a host with a dot or a port, and an optional path in lower case: registry.example.com/team, docker.io/library, localhost:5000"
type Registry = string

// PriorityClass is the name of a PriorityClass that is not Kubernetes' own.
//
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of an object: lower-case letters, digits, hyphens and dots; wildcards are not understood"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('system-')",message="system-... classes are for the cluster's own pods: a tenant with one evicts every other pod, the cluster's DNS included"
type PriorityClass = string
