package cli

import (
	"strings"

	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
)

// attackTopic explains one attack of the registry.
func attackTopic(a *hostile.Case) topic {
	t := topic{Code: a.ID, Kind: topicAttack, Title: "The tenant " + a.Title}
	if a.Refusal.By == hostile.Permitted {
		t.Title = "A tenant must be able to do it itself; if not, " + a.Title
	}
	t.add("As", identitiesOf(a.By))
	t.add("Attempt", a.Attempt.Title)
	t.add("Next to", a.Twin.Title+", which must succeed")
	t.add("Must be refused by", refusers(a))
	t.add("Suites", strings.Join(suitesOf(a.ID), ", "))
	t.add("To do", "If it is exposed, its control does not hold: see `bulkhead explain "+a.Control+"`. If it is unknown, the report has the answer that came instead.")
	return t
}

func identitiesOf(by hostile.Identities) string {
	switch {
	case by.Has(hostile.Owners) && by.Has(hostile.ServiceAccounts):
		return "owners, and the default service account of each Space"
	case by.Has(hostile.Owners):
		return "owners"
	}
	return "the default service account of each Space"
}

func refusers(a *hostile.Case) string {
	if a.Or.By != "" {
		return a.Refusal.String() + ", or " + a.Or.String()
	}
	return a.Refusal.String()
}

// suitesOf names the items that an attack stands under, other than its control.
func suitesOf(id string) []string {
	var names []string
	for _, suite := range catalogue.Suites()[1:] {
		for _, item := range suite.Items {
			if item.Has(id) {
				names = append(names, suite.Name+" "+item.ID)
			}
		}
	}
	return names
}
