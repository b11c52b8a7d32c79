package capacity

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Check describes the check: no tenant starves others at the API server.
func Check() finding.Check {
	code := func(id, title string, severity finding.Severity, why, fix string) finding.Code {
		return finding.Code{ID: id, Title: title, Severity: severity, Why: why, Fix: fix, Controls: []string{"api-fairness"}, Mappings: []string{"K07"}}
	}
	return finding.Check{
		ID: "capacity", Title: "No tenant starves others at the API server",
		Needs: []string{"FlowSchema", "PriorityLevelConfiguration"},
		Codes: []finding.Code{
			code("BH5001", "A tenant's requests have no limit", finding.High, "Requests of an exempt level are never queued: one client stops the API server for all.",
				"Match the tenant by a FlowSchema of a limited level before the one that exempts it."),
			code("BH5002", "A tenant shares its level with the system", finding.High, "A flood of the tenant's requests delays nodes, controllers or the scheduler.",
				"Give tenants a priority level of their own."),
			code("BH5003", "Two tenants are one flow", finding.Medium, "Requests of one flow wait in the same queues: the tenant that sends more gets more.",
				"Give each tenant a FlowSchema of its own."),
			code("BH5004", "A tenant can multiply its share", finding.Medium, "With a flow for each user or service account, a tenant that has many of them gets a larger share than others.",
				"Match everything that acts for the tenant by one FlowSchema without a distinguisher."),
			code("BH5005", "A level does not keep its flows apart", finding.Medium, "Without enough queues, or with none, a flood of one tenant delays all tenants.",
				"Let the level queue, with many more queues than the hand size, and leave more than half of the seats to others."),
			code("BH5007", "A tenant shares its level with other users", finding.Medium, "On a level that is not a tenant priority level, the tenant's flood delays the other users of the level, and theirs delays the tenant.",
				"Let the tenant's FlowSchema name its tenant priority level, and have a lower matchingPrecedence than those for all users."),
			code("BH5006", "An object that keeps the API server fair is missing", finding.Medium, "Requests that it separated share a level again.",
				"Restore it as the platform renders it."),
		},
	}
}

// Find judges where requests land, and returns what it considered in words.
func Find(in *finding.Input, rights *rbac.Reach) ([]finding.Finding, string) {
	return newCapacity(in, rights).findings()
}

// capacity is the state of one run of the check.
type capacity struct {
	*finding.Input
	rights  *rbac.Reach
	schemas []*flowcontrolv1.FlowSchema
	levels  map[string]*flowcontrolv1.PriorityLevelConfiguration
	// bySubject are the indices of schemas that name a subject, in order; of a rule that is about some namespaces alone, by each.
	bySubject map[string][]int
	system    map[string]string // level to whom of the system it serves
	expected  map[snapshot.Ref]bool
}

func newCapacity(in *finding.Input, rights *rbac.Reach) *capacity {
	c := &capacity{Input: in, rights: rights, levels: map[string]*flowcontrolv1.PriorityLevelConfiguration{}, bySubject: map[string][]int{},
		system: map[string]string{}, expected: map[snapshot.Ref]bool{}}
	schemas, levels := in.FlowSchemas, in.PriorityLevels
	if in.Offline {
		schemas, levels = withBuiltInFlows(schemas, levels)
	}
	for _, l := range levels {
		c.levels[l.Name] = l
	}
	for _, s := range schemas {
		if c.levels[s.Spec.PriorityLevelConfiguration.Name] != nil {
			c.schemas = append(c.schemas, s)
		}
	}
	slices.SortStableFunc(c.schemas, func(a, b *flowcontrolv1.FlowSchema) int {
		if a.Spec.MatchingPrecedence != b.Spec.MatchingPrecedence {
			return int(a.Spec.MatchingPrecedence) - int(b.Spec.MatchingPrecedence)
		}
		return strings.Compare(a.Name, b.Name)
	})
	c.indexSubjects()
	for _, e := range in.Expected {
		c.expected[e.Object] = true
	}
	for _, s := range systemSubjects() {
		for _, a := range requestsOf("kube-system") {
			if at := c.land(s, &a); at != nil {
				c.system[at.level.Name] = s.User
			}
		}
	}
	return c
}

func (c *capacity) indexSubjects() {
	for i, s := range c.schemas {
		for _, r := range s.Spec.Rules {
			for _, subject := range r.Subjects {
				for _, key := range keysOf(&subject, &r) {
					if list := c.bySubject[key]; len(list) == 0 || list[len(list)-1] != i {
						c.bySubject[key] = append(list, i)
					}
				}
			}
		}
	}
}

// systemSubjects are those without whom no cluster lives.
func systemSubjects() []finding.Subject {
	return []finding.Subject{
		{User: "system:node:n", Groups: []string{"system:nodes", rbac.GroupAuthenticated}},
		{User: "system:kube-scheduler", Groups: []string{rbac.GroupAuthenticated}},
		{User: "system:kube-controller-manager", Groups: []string{rbac.GroupAuthenticated}},
		rbac.ServiceAccount("kube-system", "deployment-controller"),
	}
}

// requestsOf are the kinds of requests that the users of a namespace make.
func requestsOf(namespace string) []finding.Attributes {
	return []finding.Attributes{
		{Verb: "get", Resource: "configmaps", Namespace: namespace},
		{Verb: "create", Resource: "configmaps", Namespace: namespace},
		{Verb: "get", Resource: "nodes"},
		{Verb: "list", Resource: "configmaps", Namespace: namespace},
		{Verb: "watch", Resource: "configmaps", Namespace: namespace},
		{Verb: "list", Resource: "pods"},
		{Verb: "get", Path: "/metrics"},
	}
}

// flowKey is one flow of one schema.
type flowKey struct{ schema, flow string }

func (c *capacity) findings() ([]finding.Finding, string) {
	var findings []finding.Finding
	flows := map[flowKey]string{}
	tenantLevels := map[string]bool{}
	asked := 0
	for i := range c.Tenants {
		t := &c.Tenants[i]
		seen := map[string]bool{}
		for _, who := range c.actors(i) {
			for _, a := range who.requests() {
				asked++
				at := c.land(who.subject, &a)
				if at == nil {
					continue // the schema catch-all takes what is left; without it the request is rejected
				}
				tenantLevels[at.level.Name] = true
				found := c.judge(t, who.subject, at)
				key := flowKey{at.schema.Name, at.flow}
				if other, taken := flows[key]; taken && other != t.Name && at.level.Spec.Type == flowcontrolv1.PriorityLevelEnablementLimited {
					found = append(found, c.finding("BH5003", t.Name, other, at, fmt.Sprintf("%s is one flow with tenant %s", who.subject.User, other)))
				} else {
					flows[key] = t.Name
				}
				findings = append(findings, unseen(seen, found)...)
			}
		}
	}
	findings = append(c.together(findings), c.weakLevels(tenantLevels)...)
	return append(findings, c.absent()...), fmt.Sprintf(
		"%d kinds of requests of %d tenants, %d flow schemas, %d priority levels; what single requests cost was not considered",
		asked, len(c.Tenants), len(c.schemas), len(c.levels))
}

// unseen are the findings of a cause that was not seen before, which now is.
func unseen(seen map[string]bool, found []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(found, func(f finding.Finding) bool {
		id := f.Code + f.To + f.Blame[0].String()
		was := seen[id]
		seen[id] = true
		return was
	})
}

// actor acts for a tenant.
type actor struct {
	subject   finding.Subject
	namespace string
	// guest is true of a subject that the tenant does not declare: it is bound in the tenant's namespaces.
	guest bool
}

// requests are those by which it is judged: a guest may make those for no namespace without this tenant, too.
func (w *actor) requests() []finding.Attributes {
	all := requestsOf(w.namespace)
	if w.guest {
		all = slices.DeleteFunc(all, func(a finding.Attributes) bool { return a.Namespace == "" })
	}
	return all
}

// actors are all that act for a tenant, the service accounts of a namespace there and all others in its first namespace.
func (c *capacity) actors(tenant int) []actor {
	var list []actor
	t := &c.Tenants[tenant]
	if len(t.Namespaces) == 0 {
		return nil
	}
	for _, i := range c.rights.Callers(tenant) {
		if !i.Certain() {
			continue // the right that leads there is Unknown, or worse, already
		}
		subject, namespace := i.Subject, t.Namespaces[0]
		if rest, is := strings.CutPrefix(subject.User, rbac.UserServiceAccount); is {
			namespace, _, _ = strings.Cut(rest, ":")
		} else if subject.User == "somebody" {
			subject.User = i.Name // members of two groups are two users
		}
		guest := asGuest(t, i.Name)
		if guest != nil {
			subject.Groups = guest
		}
		list = append(list, actor{subject, namespace, guest != nil})
	}
	return list
}

// asGuest returns the groups of an identity that a tenant does not declare by its name, which may be in none of the tenant's; nil for all
// others, and where the tenant declares no owners.
func asGuest(t *snapshot.Tenant, identity string) []string {
	kind, name, _ := strings.Cut(identity, " ")
	if len(t.Owners) == 0 || kind != "user" && kind != "group" ||
		slices.ContainsFunc(t.Owners, func(o rbacv1.Subject) bool { return strings.ToLower(o.Kind) == kind && o.Name == name }) {
		return nil
	}
	if kind == "group" {
		return []string{name, rbac.GroupAuthenticated}
	}
	return []string{rbac.GroupAuthenticated}
}

// judge reports what is wrong with where one actor's request lands.
func (c *capacity) judge(t *snapshot.Tenant, s finding.Subject, at *landing) []finding.Finding {
	level := at.level.Name
	if at.level.Spec.Type == flowcontrolv1.PriorityLevelEnablementExempt {
		return []finding.Finding{c.finding("BH5001", t.Name, finding.EveryTenant, at, fmt.Sprintf("requests of %s are exempt from every limit (priority level %s)", s.User, level))}
	}
	if whom, shared := c.system[level]; shared {
		return []finding.Finding{c.finding("BH5002", t.Name, finding.ThePlatform, at, fmt.Sprintf("requests of %s are on priority level %s, which %s needs", s.User, level, whom))}
	}
	if at.byWhat != "" {
		return []finding.Finding{c.finding("BH5004", t.Name, finding.EveryTenant, at, fmt.Sprintf("requests of %s are a flow of their own (%s) on priority level %s: the tenant gets a share for each", s.User, at.byWhat, level))}
	}
	if _, meant, called := at.meant(t.Name); c.expected[meant] && level != meant.Name {
		return []finding.Finding{c.finding("BH5007", t.Name, finding.EveryTenant, at, fmt.Sprintf("%s of %s are on priority level %s, not on %s, the tenant's own", called, s.User, level, meant.Name))}
	}
	return nil
}

// finding blames the FlowSchema that takes the request, behind the one that should have taken it.
func (c *capacity) finding(code, tenant, to string, at *landing, what string) finding.Finding {
	taken := snapshot.Ref{Kind: "FlowSchema", Name: at.schema.Name}
	f := finding.Finding{Code: code, Verdict: finding.Exposed, From: tenant, To: to, What: what, Blame: []snapshot.Ref{taken},
		Witness: []finding.Step{{Object: taken, Does: fmt.Sprintf("takes them, with precedence %d, to priority level %s", at.schema.Spec.MatchingPrecedence, at.level.Name)}}}
	if meant, level, _ := at.meant(tenant); c.expected[meant] && meant != taken {
		f.Blame = []snapshot.Ref{meant, taken, level}
	}
	if level := (snapshot.Ref{Kind: "PriorityLevelConfiguration", Name: at.level.Name}); code == "BH5001" && at.level.Name != flowcontrolv1.PriorityLevelConfigurationNameExempt {
		f.Blame = append([]snapshot.Ref{level}, f.Blame...) // a level that should have limits
	}
	return f
}

// together makes one finding of those that have the same cause for every tenant.
func (c *capacity) together(list []finding.Finding) []finding.Finding {
	byCause := map[string][]finding.Finding{}
	var order []string
	for _, f := range list {
		key := f.Code + f.Blame[0].String()
		if byCause[key] == nil {
			order = append(order, key)
		}
		byCause[key] = append(byCause[key], f)
	}
	var findings []finding.Finding
	for _, key := range order {
		f := byCause[key][0]
		if n := len(byCause[key]); n > 1 {
			f.From, f.To = finding.EveryTenant, finding.EveryTenant
			f.What += fmt.Sprintf("; so are those of %d tenants more", n-1)
		}
		findings = append(findings, f)
	}
	return findings
}

// weakLevels are levels of tenants that do not keep flows apart, or leave the others too little.
func (c *capacity) weakLevels(used map[string]bool) []finding.Finding {
	var total, tenants int64 // shares are 32 bits each
	for name, l := range c.levels {
		if l.Spec.Limited != nil && l.Spec.Limited.NominalConcurrencyShares != nil {
			total += int64(*l.Spec.Limited.NominalConcurrencyShares)
			if used[name] {
				tenants += int64(*l.Spec.Limited.NominalConcurrencyShares)
			}
		}
	}
	var findings []finding.Finding
	for _, name := range slices.Sorted(maps.Keys(used)) {
		limited := c.levels[name].Spec.Limited
		if limited == nil || len(c.Tenants) < 2 {
			continue
		}
		var faults []string
		queuing := limited.LimitResponse.Queuing
		switch {
		case limited.LimitResponse.Type == flowcontrolv1.LimitResponseTypeReject || queuing == nil:
			faults = append(faults, "rejects requests when it is full, so that one tenant's flood stops all tenants")
		case queuing.Queues < 8*queuing.HandSize:
			faults = append(faults, fmt.Sprintf("has %d queues for hands of %d: a few floods fill them all", queuing.Queues, queuing.HandSize))
		}
		if n := limited.NominalConcurrencyShares; n != nil && 2*tenants > total && int64(*n)*int64(len(used)) >= tenants { // those above the mean
			faults = append(faults, fmt.Sprintf("has %d of %d seats' shares, and tenants' levels together %d, more than all others", *n, total, tenants))
		}
		if n := limited.NominalConcurrencyShares; n != nil && *n == 0 {
			faults = append(faults, "has no seats of its own")
		}
		if c.expected[snapshot.Ref{Kind: "PriorityLevelConfiguration", Name: name}] && limited.BorrowingLimitPercent == nil {
			faults = append(faults, "may borrow every seat that others lend")
		}
		if len(faults) > 0 {
			o := snapshot.Ref{Kind: "PriorityLevelConfiguration", Name: name}
			words := strings.Join(faults, "; ")
			findings = append(findings, finding.Finding{Code: "BH5005", Verdict: finding.Exposed, From: finding.EveryTenant, To: finding.EveryTenant,
				What: o.String() + " " + words, Witness: []finding.Step{{Object: o, Does: words}}, Blame: []snapshot.Ref{o}})
		}
	}
	return findings
}

// absent are the objects that should keep the API server fair and are not there.
func (c *capacity) absent() []finding.Finding {
	there := map[snapshot.Ref]bool{}
	for _, s := range c.FlowSchemas {
		there[snapshot.Ref{Kind: "FlowSchema", Name: s.Name}] = true
	}
	for _, l := range c.PriorityLevels {
		there[snapshot.Ref{Kind: "PriorityLevelConfiguration", Name: l.Name}] = true
	}
	var findings []finding.Finding
	for _, e := range c.Expected {
		if (e.Object.Kind == "FlowSchema" || e.Object.Kind == "PriorityLevelConfiguration") && !there[e.Object] {
			findings = append(findings, finding.Finding{Code: "BH5006", Verdict: finding.Exposed, From: finding.EveryTenant, To: finding.EveryTenant,
				What: e.Object.String() + " is not there", Witness: []finding.Step{{Object: e.Object, Does: "is not there; control " + e.Control + " needs it"}}, Blame: []snapshot.Ref{e.Object}})
		}
	}
	return findings
}
