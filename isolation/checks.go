package isolation

import "slices"

// Check is one kind of proof. Its file's doc comment is its specification.
type Check struct {
	// ID is stable, such as rbac.
	ID string
	// Title says what it proves.
	Title string
	// Needs are the kinds that must have been read; if one is Missing, what the check does not find exposed is Unknown.
	Needs []string
	// Codes of its findings.
	Codes []Code
	// run looks. It says in words what it considered; a verdict follows from the findings.
	run func(*proof) (findings []Finding, considered string)
}

// Code is what a finding's code means.
type Code struct {
	// ID such as BH1001. It stands in reports, waivers and other people's scripts, and never changes its meaning.
	ID string
	// Title in a few words.
	Title string
	// Severity of its findings unless the check knows better.
	Severity Severity
	// Why it matters.
	Why string
	// Fix in general; a finding has the particular one.
	Fix string
	// Controls that should have kept it from happening.
	Controls []string
	// Mappings to public catalogues: OWASP Kubernetes Top 10 (2025) as K01 to K10, the Multi-Tenancy Benchmark as MTB-*.
	Mappings []string
}

// Checks lists every check, in the order of a report.
func Checks() []Check {
	return []Check{
		rbacCheck(),
		podsCheck(),
		nodesCheck(),
		networkCheck(),
		guardrailsCheck(),
		capacityCheck(),
		sharedCheck(),
		coverageCheck(),
	}
}

// CodeByID finds a code with its check; false when there is none.
func CodeByID(id string) (Code, Check, bool) {
	for _, check := range Checks() {
		if i := slices.IndexFunc(check.Codes, func(c Code) bool { return c.ID == id }); i >= 0 {
			return check.Codes[i], check, true
		}
	}
	return Code{}, Check{}, false
}
