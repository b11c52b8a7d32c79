package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// TenancyDecision is the tenancy pattern of one workload, with its explanation.
type TenancyDecision struct {
	Pattern Pattern `json:"pattern"`
	// Sandboxed says that the decision asks for a sandboxed runtime. Whether the
	// platform has one is told by RuntimeClass: Sandboxed with an empty RuntimeClass
	// means asked for and missing, and then risk R7 is among the risks.
	Sandboxed bool `json:"sandboxed"`
	// RuntimeClass is the name of the RuntimeClass that the workload's pods must use;
	// empty where none is asked for or none exists.
	RuntimeClass string `json:"runtimeClass,omitempty"`
	// Ephemeral means one short-lived cluster per run. It is true only under Hard.
	Ephemeral bool `json:"ephemeral"`
	// Reasons lists every rule that fired, strictest pattern first, then by number.
	// There is always at least one, and the first has the decision's pattern.
	Reasons []Reason `json:"reasons"`
	// Risks lists what the choice leaves open, by id.
	Risks []Risk `json:"risks"`
	// Flips lists all minimal sets of changes that give a weaker pattern, smallest
	// first. It is empty for Soft, which is the weakest.
	Flips []Flip `json:"flips,omitempty"`
	// InputHash identifies the normalised input: 16 hexadecimal digits. Two inputs
	// that differ only in spelling out a default have the same one.
	InputHash string `json:"inputHash"`
}

// Tenancy decides the tenancy pattern of one workload by the rules that Rules
// lists; the strictest wins. It is total over valid inputs. For any other it
// returns the zero decision and an error that joins one *FactError for every fact
// that is missing or unknown.
func Tenancy(in TenancyInput) (TenancyDecision, error) {
	t, err := normalise(&in)
	if err != nil {
		return TenancyDecision{}, err
	}
	top := tenancyRules.strictest(&t)
	reasons, sandbox := reasonsFor(&t, top)
	d := TenancyDecision{
		Pattern:   top.Pattern,
		Sandboxed: sandbox && top.Pattern != PatternHard,
		Ephemeral: t[factLifetime] == string(LifetimeEphemeral) && top.Pattern == PatternHard,
		Reasons:   reasons,
		Flips:     tenancyRules.flips(&t),
		InputHash: inputHash(&t, in.Platform.SandboxRuntimes),
	}
	if d.Sandboxed && len(in.Platform.SandboxRuntimes) > 0 {
		d.RuntimeClass = in.Platform.SandboxRuntimes[0]
	}
	d.Risks = risksOf(&d)
	return d, nil
}

// reasonsFor lists the rules that hold, and whether any of them asks for a sandbox.
func reasonsFor(t *traits, top *Rule) (reasons []Reason, sandbox bool) {
	reasons = make([]Reason, 0, 4) // few inputs fire more
	for i := range tenancyRules {
		r := &tenancyRules[i]
		otherwise := len(r.when) == 0
		if !r.holds(t) || otherwise && r.ID != top.ID {
			continue
		}
		reasons = append(reasons, Reason{r.ID, r.facts(), r.Pattern, r.Because})
		sandbox = sandbox || r.Sandbox
	}
	return reasons, sandbox
}

// hashHeader names the encoding; it changes whenever the encoding does.
const hashHeader = "bulkhead/decision/tenancy/v1\n"

// inputHash returns the first 16 hexadecimal digits of the SHA-256 of the
// canonical encoding: the header, one line name=value for each declared fact in
// the order of the fact table with defaults applied, and one line
// platform.sandboxRuntime="name" for each runtime, quoted as Go quotes strings and
// in order of preference. It detects change; it is no defence against forgery.
func inputHash(t *traits, runtimes []string) string {
	buf := make([]byte, 0, 512)
	buf = append(buf, hashHeader...)
	for id, value := range t {
		buf = append(buf, tenancyFacts[id].name...)
		buf = append(buf, '=')
		buf = append(buf, value...)
		buf = append(buf, '\n')
	}
	for _, name := range runtimes {
		buf = append(buf, "platform.sandboxRuntime="...)
		buf = strconv.AppendQuote(buf, name)
		buf = append(buf, '\n')
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:8])
}
