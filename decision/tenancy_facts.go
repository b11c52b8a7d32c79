package decision

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// factID is a position in tenancyFacts and in traits.
type factID int

const (
	factBoundary factID = iota
	factDeclared
	factDedicatedHosts
	factCode
	factEnvironment
	factHostAccess
	factAPIAccess
	factClusterScoped
	factPerformance
	factUpgrades
	factLifetime
	factCount
)

// fact describes one declared fact.
type fact struct {
	name string
	// values are all valid values, the weakest first. The order is what "stricter"
	// means for this fact; where the pattern does not depend on it, it is arbitrary.
	values []string
	// required facts have no default. All others default to the weakest value, which
	// is harmless because enforcement makes it true. A weakest value of "" means
	// that the fact may stay undeclared; it is never proposed as a change.
	required bool
	get      func(*TenancyInput) string
}

// tenancyFacts is never written after its initialisation.
var tenancyFacts = [factCount]fact{
	factBoundary: {"tenant.boundary", []string{"Inside", "Outside"}, true,
		func(in *TenancyInput) string { return string(in.Tenant.Boundary) }},
	factDeclared: {"tenant.declared", []string{"", "Trusted", "Untrusted"}, false,
		func(in *TenancyInput) string { return string(in.Tenant.Declared) }},
	factDedicatedHosts: {"tenant.dedicatedHosts", []string{"false", "true"}, false,
		func(in *TenancyInput) string { return strconv.FormatBool(in.Tenant.DedicatedHosts) }},
	factCode: {"workload.code", []string{"Audited", "ThirdParty", "Arbitrary"}, true,
		func(in *TenancyInput) string { return string(in.Workload.Code) }},
	factEnvironment: {"workload.environment", []string{"NonProduction", "Production"}, true,
		func(in *TenancyInput) string { return string(in.Workload.Environment) }},
	factHostAccess: {"workload.hostAccess", []string{"None", "Privileged"}, false,
		func(in *TenancyInput) string { return string(in.Workload.HostAccess) }},
	factAPIAccess: {"workload.apiAccess", []string{"None", "OwnNamespaces", "ClusterWide"}, false,
		func(in *TenancyInput) string { return string(in.Workload.APIAccess) }},
	factClusterScoped: {"workload.clusterScoped", []string{"false", "true"}, false,
		func(in *TenancyInput) string { return strconv.FormatBool(in.Workload.ClusterScoped) }},
	factPerformance: {"workload.performance", []string{"Shared", "Guaranteed"}, false,
		func(in *TenancyInput) string { return string(in.Workload.Performance) }},
	factUpgrades: {"workload.upgrades", []string{"Platform", "Own"}, false,
		func(in *TenancyInput) string { return string(in.Workload.Upgrades) }},
	factLifetime: {"workload.lifetime", []string{"Permanent", "Ephemeral"}, false,
		func(in *TenancyInput) string { return string(in.Workload.Lifetime) }},
}

// allowed lists the values that may be declared.
func (f *fact) allowed() []string {
	if f.values[0] == "" {
		return f.values[1:]
	}
	return f.values
}

// weaker lists the declarable values that are weaker than value.
func (f *fact) weaker(value string) []string {
	allowed := f.allowed()
	return allowed[:max(0, slices.Index(allowed, value))]
}

// traits are the normalised declared facts: every one valid, defaults applied.
type traits [factCount]string

// FactError says that one fact is missing or has a value that is not known.
type FactError struct {
	// Fact is the name of the fact, such as workload.code.
	Fact string
	// Value is what was given; "" means that nothing was.
	Value string
	// Allowed are the values that may be given. It is empty for names, where any text
	// but the empty one will do.
	Allowed []string
}

// Error names the fact and what may be declared for it.
func (e *FactError) Error() string {
	want := "a name"
	if len(e.Allowed) > 0 {
		want = "one of " + strings.Join(e.Allowed, ", ")
	}
	if e.Value == "" {
		return fmt.Sprintf("fact %s is missing: want %s", e.Fact, want)
	}
	return fmt.Sprintf("fact %s has the unknown value %q: want %s", e.Fact, e.Value, want)
}

// normalise applies the defaults and refuses what is missing or unknown. It
// collects every fault, so that one round is enough to repair an input.
func normalise(in *TenancyInput) (traits, error) {
	var t traits
	var faults []error
	for id := range tenancyFacts {
		f := &tenancyFacts[id]
		value := f.get(in)
		if value == "" && !f.required {
			value = f.values[0]
		}
		if !slices.Contains(f.values, value) {
			faults = append(faults, &FactError{f.name, value, slices.Clone(f.allowed())})
		}
		t[id] = value
	}
	for i, name := range in.Platform.SandboxRuntimes {
		if name == "" {
			faults = append(faults, &FactError{Fact: fmt.Sprintf("platform.sandboxRuntimes[%d]", i)})
		}
	}
	return t, errors.Join(faults...)
}
