package cli

import (
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz"
)

// attacksPage is docs/attacks.md.
func attacksPage() string {
	var b strings.Builder
	suites := catalogue.Suites()
	all := suites[0].Attacks()
	fmt.Fprintf(&b, `# Attacks

<!-- Generated from hostile/ and internal/attack by `+"`make generate`"+`. Do not edit. -->

`+"`bulkhead attack [TENANT]`"+` acts with a tenant's own identities, through the real API, and tries what a tenant must not be
able to do: %d attacks, each in every Space and as every identity that it applies to. An attack has three parts:

- the **harmless twin**, which must succeed: otherwise a refusal proves nothing;
- the **attempt**, which differs from the twin in one point;
- the expected **refusal**: the authority (RBAC, RBAC's escalation check, an admission policy by its name, Pod Security, a quota, a
  LimitRange, validation) and its message.

An attempt that is allowed is **exposed**. One that is refused as expected, next to a harmless twin that succeeds, is **isolated**.
Everything else is **unknown**: a time-out, a refusal by another authority, a part of the API that could not be discovered. Unknown
is never reported as isolated.

`+"```sh\nbulkhead attack --list                      # every attack with its id; touches nothing\n"+
		"bulkhead attack --suite mtb --list\nbulkhead attack --rights                    # what you need to be allowed\n"+
		"bulkhead explain images/foreign-registry    # one attack\n```"+`

`+"`--identity`"+` limits the identities, `+"`--against`"+` names the tenant to attack, `+"`-o json|junit|markdown`"+` is for machines and reports. The
exit status is 0 for isolated, 1 for exposed, 2 for unknown, and 3 where nothing could be tried or objects may be left over.

## Safe on a production cluster

- Reads in foreign namespaces ask for at most one object, or for one that does not exist. Nothing that is read is kept or shown.
- What a server-side dry-run proves is tried by dry-run. Rights are tried on objects that do not exist, with an empty body and as a
  dry-run: any answer from behind the authorizer shows the right, and the request cannot change anything.
- What a dry-run cannot prove is created: the pods that a controller creates from a workload, ephemeral containers, changes of existing
  objects. The tenant creates it, in its own Space. The pods have a scheduling gate, so none ever runs; a DaemonSet selects one node.
- All these objects have the label `+"`bulkhead.dev/attack=RUN`"+`, and are removed at the end and after Ctrl-C. The next run on the same tenant
  removes the leftovers of a killed run: only objects that have the label and a name that begins with `+"`bulkhead-attack-`"+`, and that the field
  manager `+"`bulkhead-attack`"+` wrote. Two runs on one tenant at a time disturb each other; they then report unknown.
- `+"`--qps`"+` limits the requests (50 a second by default); they count as the tenant's in the API server's fair queues. This limit mostly
  decides how long a run takes: `+"`--suite mtb`"+` as the ten tenants of `+"`make up`"+` takes 5 min 10 s at 50, 1 min 42 s at 200, 28 s at 1,000.
- A run waits half a minute for an API server that stops answering, and then ends: what was not tried is unknown.
- `+"`--destructive`"+` sends for real what is otherwise a dry-run. Where a control does not hold, the harm is done. Use it on test clusters only.

The controller's own proof, the condition Proven, asks a selection of the same attacks: those that store nothing and read nothing.
`, len(all))
	benchmarkSection(&b, &suites[1])
	incidentSection(&b, &suites[2])
	fuzzSection(&b)
	registrySection(&b, &suites[0], all)
	return b.String()
}

func fuzzSection(b *strings.Builder) {
	fmt.Fprintf(b, `
## Suite fuzz

`+"`bulkhead attack TENANT --suite fuzz --for 60s`"+` sends random objects and patches, as the tenant's owners and the service accounts of its Spaces.

- **Requests.** Every kind and subresource that discovery names, custom resources too, is tried in the tenant's Spaces, in its home, in foreign namespaces and
  cluster-wide: by create, update, JSON, merge and strategic merge patch, server-side apply, delete and deletecollection. Harmless objects are changed in one or several
  places, guided by the types that the API server publishes (OpenAPI v3), with the dictionary below and with values that are unusual anywhere: foreign namespaces,
  owner references, finalizers, wildcards, look-alike letters, huge values, values of another type.
- **Order.** First come every harmless object, each danger alone in every kind, each kind in every place and each verb on the objects that Bulkhead manages; `+"`--for`"+`
  never cuts that short. Then an attempt whose outcome (kind, verb, place and authority that refused) was new is varied further.
- **Seed.** A run prints its `+"`--seed`"+` and has it in the report. The same seed repeats the attempts as long as the answers are the same.

| line | isolated when |
|---|---|
`)
	holds := map[string]string{
		"own":       "something of each kind that has a harmless object was accepted in the tenant's Spaces, or only its own quota was in the way",
		"outside":   "RBAC alone refused everything that an owner's role does not allow",
		"managed":   "nothing was accepted on the objects that Bulkhead manages in the tenant's namespaces",
		"unchanged": "two full listings, before and after, are the same outside the tenant's own objects, and for the objects that Bulkhead manages there",
		"proof":     "`bulkhead prove` has no new finding about the tenant while everything that was accepted and created still exists",
	}
	for _, item := range fuzz.Items() {
		if text := holds[item.ID]; text != "" {
			fmt.Fprintf(b, "| `%s` | %s |\n", item.ID, text)
		}
	}
	fmt.Fprintf(b, `| `+"`danger/CONTROL`"+` | each danger alone was refused by its control once, or the API has no such field; and no accepted object held one, alone or among others |

Objects are compared by revision and content. Only the metadata of Secrets is read, and only digests are kept. A change with the run's name or its field manager
is **exposed**. Whether the tenant took part in any other change is not known, so such a change is **unknown**, with the manager that wrote it: run it when few other users
change the cluster. A kind that cannot be listed makes the comparison unknown too. Only these changes, which happen by themselves, are ignored:

| ignored | because |
|---|---|
`)
	for _, e := range fuzz.Exclusions() {
		fmt.Fprintf(b, "| %s | %s |\n", e.What, e.Why)
	}
	b.WriteString(`
It is as safe on a production cluster as the other suites. Only objects without effect are created (ConfigMaps, opaque Secrets,
ServiceAccounts, Leases, Services that are not exposed, NetworkPolicies for the run's own pods, pods with a scheduling gate and workloads of at most one such pod),
at most 30 at a time, with the label. Everything else is a dry-run, and so is every change of an object that is not the run's own. A workload whose pods Pod Security
would refuse is removed at once, because the prover judges workloads by their templates. An object that was created outside the tenant's namespaces after all is reported and removed:
as the tenant, or, if it may not, as you.

The dictionary, and who must refuse it:

| danger | the tenant | must be refused by |
|---|---|---|
`)
	for _, d := range fuzzList() {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", d.Attack, d.Title, d.RefusedBy)
	}
}

func benchmarkSection(b *strings.Builder, suite *catalogue.Suite) {
	fmt.Fprintf(b, `
## Suite mtb

These are the Multi-Tenancy Benchmarks of Kubernetes' multi-tenancy working group: the 19 that were published, and five that were planned
and never written. A namespace passes when every attack of the benchmark is refused as expected or, in the three on what tenants manage
themselves, when the tenant can do it. `+"`--compare-unguarded`"+` creates a namespace with Kubernetes' ClusterRole `+"`admin`"+` and nothing else, tries the same there,
shows both, and removes it. That namespace passes 6 of 24, those that RBAC alone refuses. The archived suite counted any error as a pass.

| benchmark | demands | attacks | an unguarded namespace |
|---|---|---|---|
`)
	for _, item := range suite.Items {
		there := "fails"
		switch item.Unguarded {
		case v1alpha1.Isolated:
			there = "passes"
		case v1alpha1.Unknown:
			there = "unknown: nothing is managed there"
		case v1alpha1.Exposed:
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", item.ID, item.Title, codes(item.Attacks), there)
	}
}

func incidentSection(b *strings.Builder, suite *catalogue.Suite) {
	b.WriteString("\n## Suite incidents\n\nVulnerabilities of published tenancy systems, each with the attacks that replay it.\n")
	for _, item := range suite.Items {
		fmt.Fprintf(b, "\n### %s\n\n**%s.** %s\n\nReplayed by %s.\n", item.ID, item.Title, item.Story, codes(item.Attacks))
	}
}

func codes(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "`" + w + "`"
	}
	return strings.Join(quoted, ", ")
}

// registrySection has a row for each attack; those that try one thing in every kind of workload and in every way share a row.
func registrySection(b *strings.Builder, suite *catalogue.Suite, all []hostile.Case) {
	b.WriteString("\n## Suite controls: every attack, by the control that must refuse it\n\nA star stands for the kinds of workload, or the ways to change one. " +
		"A control without a table has no attack that an API server could answer.\n")
	for _, item := range suite.Items {
		rows := ""
		count := map[string]int{}
		for i := range all {
			if item.Has(all[i].ID) {
				count[family(all[i].ID)]++
			}
		}
		done := map[string]bool{}
		for i := range all {
			a := &all[i]
			name := family(a.ID)
			if !item.Has(a.ID) || done[name] {
				continue
			}
			done[name] = true
			title := a.Title
			if n := count[name]; n > 1 {
				title += fmt.Sprintf(" (%d attacks of this kind)", n)
			}
			rows += fmt.Sprintf("| `%s` | %s | %s |\n", name, strings.ReplaceAll(title, "|", "\\|"), refusers(a))
		}
		if rows != "" {
			fmt.Fprintf(b, "\n### %s\n\n%s.\n\n| attack | the tenant | must be refused by |\n|---|---|---|\n%s", item.ID, item.Title, rows)
		}
	}
}

// family is the id with a star for the kind of workload, or for the way and the kind.
func family(id string) string {
	for _, kind := range []string{"podtemplates", "replicationcontrollers", "daemonsets", "deployments", "replicasets", "statefulsets", "cronjobs", "jobs"} {
		for _, way := range []string{"update", "patch", "apply"} {
			if base, ok := strings.CutSuffix(id, "-by-"+way+"-of-"+kind); ok {
				return base + "-by-*"
			}
		}
		for _, between := range []string{"-in-", "-through-"} {
			if base, ok := strings.CutSuffix(id, between+kind); ok {
				return base + between + "*"
			}
		}
	}
	return id
}
