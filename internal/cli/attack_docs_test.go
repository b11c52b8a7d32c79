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
able to do: %d attacks, in all their scenes. Each is made of three things:

- the **harmless twin**, which must succeed: otherwise a refusal proves nothing;
- the **attempt**, which differs from it in a single point;
- the **refusal** that is expected: by whom (RBAC, RBAC's escalation check, an admission policy by its name, Pod Security, a quota, a
  LimitRange, validation), in that authority's own words.

Allowed is **exposed**. Refused as expected next to a working harmless twin is **isolated**. Everything else, a time-out, a refusal by
somebody else, a part of the API that could not be discovered, is **unknown**, and unknown is never reported as isolated.

`+"```sh\nbulkhead attack --list                      # every attack with its id; touches nothing\n"+
		"bulkhead attack --suite mtb --list\nbulkhead attack --rights                    # what you need to be allowed\n"+
		"bulkhead explain images/foreign-registry    # one attack\n```"+`

`+"`--as`"+` limits the identities, `+"`--against`"+` names the tenant to reach for, `+"`-o json|junit|markdown`"+` is for machines and reports. Exit status: 0
isolated, 1 exposed, 2 unknown, 3 nothing could be tried or something may be left behind.

## Safe on a production cluster

- Reads in foreign namespaces ask for at most one object, or for one that does not exist; nothing that is read is kept or shown.
- Whatever a server-side dry-run proves is tried by dry-run. Rights are tried on objects that do not exist, with an empty body and as a
  dry-run: any answer from behind the authorizer shows the right, and there is nothing that it could do.
- What only the real path shows is made for real: the pods that a controller makes of a workload, ephemeral containers, changes of what is
  there. The tenant makes it, in its own Space. Its pods bear a scheduling gate, so none ever runs; a DaemonSet is aimed at one node.
- All of it bears the label `+"`bulkhead.dev/attack=RUN`"+`, and is removed at the end and after Ctrl-C. What a killed run left, the next run on the
  same tenant removes: only what bears the label, has a name that begins with `+"`bulkhead-attack-`"+`, and was written by the field manager
  `+"`bulkhead-attack`"+`. Two runs on one tenant at a time disturb each other; they then report unknown.
- `+"`--qps`"+` bounds the requests (50 a second unless said otherwise); they count as the tenant's in the API server's fair queues.
  Above all, that decides how long a run takes: `+"`--suite mtb`"+` as the ten tenants of `+"`make up`"+` 5 min 10 s at 50, 1 min 42 s at 200, 28 s at 1,000.
  One that answers no more is waited for, for half a minute, and then left alone: what was not tried is unknown.
- `+"`--destructive`"+` sends for real what is otherwise a dry-run. Where a control does not hold, the harm is done. It is for test clusters.

The controller's own proof, the condition Proven, asks twelve questions (and two where they apply) that are a selection of the same attacks:
those that store nothing and read nothing.
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

`+"`bulkhead attack TENANT --suite fuzz --for 60s`"+` sends what no one wrote down: objects and patches at random, as the tenant's owners and the service
accounts of its Spaces.

- **What.** Every kind and subresource that discovery names, custom resources too, is tried in the tenant's Spaces, in its home, in foreign namespaces and
  cluster-wide: by create, update, JSON, merge and strategic merge patch, server-side apply, delete and deletecollection. Harmless objects are changed in one or several
  places, guided by the types that the API server publishes (OpenAPI v3), with the dictionary below and with what is odd anywhere: foreign namespaces,
  owner references, finalizers, wildcards, look-alike letters, huge values, values of another type.
- **Guided by the refusals.** First every harmless object, each danger alone in every kind, each kind in every place and each verb on what Bulkhead
  manages have their turn; that is never cut short, with any `+"`--for`"+`. Then an attempt whose outcome (kind, verb, place and who refused) was new is varied further.
- **Seed.** `+"`--seed`"+`, which is printed and stands in the report, makes the same attempts again as long as the answers are the same.

| line | isolated when |
|---|---|
`)
	holds := map[string]string{
		"own":       "something of each kind that has a harmless object was accepted in the tenant's Spaces, or only its own quota was in the way",
		"outside":   "RBAC alone refused everything that an owner's role does not allow",
		"managed":   "nothing was accepted on what Bulkhead keeps in the tenant's namespaces",
		"unchanged": "two full listings, before and after, are the same outside of the tenant's own, and for what Bulkhead keeps there",
		"proof":     "`bulkhead prove` has no new finding about the tenant while all that was accepted and made is still there",
	}
	for _, item := range fuzz.Items() {
		if text := holds[item.ID]; text != "" {
			fmt.Fprintf(b, "| `%s` | %s |\n", item.ID, text)
		}
	}
	fmt.Fprintf(b, `| `+"`danger/CONTROL`"+` | each danger alone was refused by its control once, or the API knows no such field; and none, alone or among others, stood in what was accepted |

The comparison goes by revision and content; of Secrets only the metadata is read, and of nothing more than a digest is kept. A change that bears the run's name or
its field manager is **exposed**. Whether the tenant had a part in any other change is not known, so it is **unknown**, with who wrote it: on a cluster
where others work at that time, choose a quiet time. A kind that cannot be listed makes it unknown too. What changes by itself is passed over, by these rules and no others:

| passed over | because |
|---|---|
`)
	for _, e := range fuzz.Exclusions() {
		fmt.Fprintf(b, "| %s | %s |\n", e.What, e.Why)
	}
	b.WriteString(`
It is as safe on a production cluster as the other suites. For real are made only objects that do nothing by being there (ConfigMaps, opaque Secrets,
ServiceAccounts, Leases, Services without an outside, NetworkPolicies for the run's own pods, pods behind a scheduling gate and workloads of one such pod at most),
at most 30 at a time, with the mark; everything else is a dry-run, and so is every change of what is not the run's own. A workload whose pods Pod Security
would refuse is removed at once: the prover goes by what stands in a workload. What is made outside after all is reported, and removed: as the tenant, or, if it may not, as you.

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

The Multi-Tenancy Benchmarks of Kubernetes' multi-tenancy working group: the 19 that were published, and five that were planned
and never written. A namespace passes when every attack of the benchmark is refused as expected, or, in the three on what tenants manage
themselves, when they can. `+"`--compare-unguarded`"+` makes a namespace with Kubernetes' ClusterRole `+"`admin`"+` and nothing else, tries the same there,
shows both, and removes it: it passes what RBAC alone answers, 6 of 24. The archived suite counted any error as a pass.

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
	b.WriteString("\n## Suite incidents\n\nWhat happened to published tenancy systems. Each is replayed with the attacks named below it.\n")
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
		"Controls without a table have nothing that an API server could answer.\n")
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
				title += fmt.Sprintf(" (%d attacks of the kind)", n)
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
