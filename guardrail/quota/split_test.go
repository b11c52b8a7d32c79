package quota

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// list of quantities from key, value, key, value, ...
func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

// quotaOf a Space: what is granted, enforced and used of "pods". Negative means not there.
func quotaOf(hard, enforced, used int64) *corev1.ResourceQuota {
	q := &corev1.ResourceQuota{}
	for amount, l := range map[*int64]*corev1.ResourceList{
		&hard: &q.Spec.Hard, &enforced: &q.Status.Hard, &used: &q.Status.Used,
	} {
		if *amount >= 0 {
			*l = corev1.ResourceList{"pods": *resource.NewQuantity(*amount, resource.DecimalSI)}
		}
	}
	return q
}

func held(space, pods string) v1alpha1.LedgerEntry {
	return v1alpha1.LedgerEntry{Space: space, Held: list("pods", pods)}
}

func asks(space, pods string, q *corev1.ResourceQuota) Share {
	return Share{Space: space, Wanted: list("pods", pods), Quota: q}
}

// splitCases of one resource: what each Space is granted and what is held for it.
var splitCases = map[string]struct {
	total  string
	ledger []v1alpha1.LedgerEntry
	shares []Share
	want   string // granted to each share / held for each Space, sorted by name / exceeded
}{
	"the first Space gets all": {"10", nil, []Share{{Space: "a"}}, "a=10 / a=10"},
	"even parts, the rest to the oldest": {
		"11", nil, []Share{{Space: "a"}, {Space: "b"}, {Space: "c"}}, "a=4 b=4 c=3 / a=4 b=4 c=3",
	},
	"who asks comes first, the others share what is left": {
		"10", nil, []Share{{Space: "a"}, asks("b", "6", nil), {Space: "c"}}, "a=2 b=6 c=2 / a=2 b=6 c=2",
	},
	"asking for more than there is": {
		"10", nil, []Share{asks("a", "8", nil), asks("b", "8", nil), {Space: "c"}}, "a=8 b=2! c=0! / a=8 b=2 c=0",
	},
	"what a Space asked for and has, it keeps": {
		"10", []v1alpha1.LedgerEntry{held("b", "8")},
		[]Share{asks("a", "8", nil), asks("b", "8", quotaOf(8, 8, 0))}, "a=2! b=8 / a=2 b=8",
	},
	"a new Space waits until the old one's shrinking is seen": {
		"10", []v1alpha1.LedgerEntry{held("a", "10")},
		[]Share{{Space: "a", Quota: quotaOf(10, 10, 1)}, {Space: "b"}}, "a=5 b=0! / a=10 b=0",
	},
	"written but not yet enforced is still held": {
		"10", []v1alpha1.LedgerEntry{held("a", "10")},
		[]Share{{Space: "a", Quota: quotaOf(5, 10, 1)}, {Space: "b"}}, "a=5 b=0! / a=10 b=0",
	},
	"enforced, so free": {
		"10", []v1alpha1.LedgerEntry{held("a", "10")},
		[]Share{{Space: "a", Quota: quotaOf(5, 5, 1)}, {Space: "b"}}, "a=5 b=5 / a=5 b=5",
	},
	"used beyond its part, so held": {
		"10", []v1alpha1.LedgerEntry{held("a", "10")},
		[]Share{{Space: "a", Quota: quotaOf(5, 5, 7)}, {Space: "b"}}, "a=5 b=3! / a=7 b=3",
	},
	"a quota without a status holds what the ledger says": {
		"10", []v1alpha1.LedgerEntry{held("a", "10")},
		[]Share{{Space: "a", Quota: quotaOf(5, -1, -1)}, {Space: "b"}}, "a=5 b=0! / a=10 b=0",
	},
	"a quota that is not there holds what the ledger says": {
		"10", []v1alpha1.LedgerEntry{held("a", "10")}, []Share{{Space: "a"}, {Space: "b"}}, "a=5 b=0! / a=10 b=0",
	},
	"a leaving Space holds what it has and gets nothing new": {
		"10", []v1alpha1.LedgerEntry{held("a", "6")},
		[]Share{{Space: "a", Quota: quotaOf(6, 6, 6), Leaving: true}, {Space: "b"}}, "b=4 / a=6 b=4",
	},
	"a Space that is gone frees what it had": {
		"10", []v1alpha1.LedgerEntry{held("a", "6")}, []Share{{Space: "a", Gone: true}, {Space: "b"}},
		"b=10 / b=10",
	},
	"a Space that nobody speaks of keeps what it holds": {
		"10", []v1alpha1.LedgerEntry{held("a", "6")}, []Share{{Space: "b"}}, "b=4 / a=6 b=4",
	},
	"after a cut below what is used nobody grows": {
		"6", []v1alpha1.LedgerEntry{held("a", "8"), held("b", "2")},
		[]Share{{Space: "a", Quota: quotaOf(8, 8, 8)}, {Space: "b", Quota: quotaOf(2, 2, 0)}},
		"a=3 b=2! / a=8 b=2 / pods",
	},
	"somebody raised a quota by hand": {
		"10", []v1alpha1.LedgerEntry{held("a", "5"), held("b", "5")},
		[]Share{{Space: "a", Quota: quotaOf(900, 900, 40)}, {Space: "b", Quota: quotaOf(5, 5, 0)}},
		"a=5 b=5 / a=900 b=5 / pods",
	},
	"back below its part while used is high costs nothing": {
		"10", []v1alpha1.LedgerEntry{held("a", "7"), held("b", "3")},
		[]Share{asks("a", "7", quotaOf(4, 4, 7)), {Space: "b", Quota: quotaOf(3, 3, 3)}}, "a=7 b=3 / a=7 b=3",
	},
	"nonsense counts as nothing": {
		"10", nil, []Share{asks("a", "-5", nil), asks("b", "1e30", nil)}, "a=0 b=10! / a=0 b=10",
	},
}

// Promise: each rule of Split.
func TestSplit(t *testing.T) {
	for name, c := range splitCases {
		t.Run(name, func(t *testing.T) {
			if got := splitText(Split(list("pods", c.total), c.ledger, c.shares)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func splitText(d Division) string {
	var granted, held []string
	for _, g := range d.Grants {
		q := g.Hard["pods"]
		granted = append(granted, fmt.Sprintf("%s=%s%s", g.Space, q.String(), strings.Repeat("!", len(g.Shortages))))
	}
	for _, e := range d.Ledger {
		q := e.Held["pods"]
		held = append(held, fmt.Sprintf("%s=%s", e.Space, q.String()))
	}
	text := strings.Join(granted, " ") + " / " + strings.Join(held, " ")
	for _, key := range d.Exceeded {
		text += " / " + string(key)
	}
	return text
}

// Promise: each resource is divided in its own unit, whole MiB of bytes, and nothing of it is left over.
func TestSplitUnits(t *testing.T) {
	total := list("requests.cpu", "1", "limits.memory", "1G", "requests.storage", "100Gi", "pods", "7",
		"count/widgets.storage", "5", "fast.storageclass.storage.k8s.io/requests.storage", "1Gi",
		"fast.storageclass.storage.k8s.io/persistentvolumeclaims", "4", "requests.nvidia.com/gpu", "2")
	d := Split(total, nil, []Share{{Space: "a"}, {Space: "b"}, {Space: "c"}})
	want := map[string]string{
		"requests.cpu": "334m 333m 333m", "limits.memory": "318Mi 318Mi 333104Ki", "requests.storage": "34134Mi 34133Mi 34133Mi",
		"pods": "3 2 2", "count/widgets.storage": "2 2 1", "requests.nvidia.com/gpu": "1 1 0",
		"fast.storageclass.storage.k8s.io/requests.storage":       "342Mi 341Mi 341Mi",
		"fast.storageclass.storage.k8s.io/persistentvolumeclaims": "2 1 1",
	}
	got := map[string]string{}
	for key, all := range total {
		var words []string
		var sum resource.Quantity
		for _, g := range d.Grants {
			q := g.Hard[key]
			words = append(words, q.String())
			sum.Add(q)
		}
		got[string(key)] = strings.Join(words, " ")
		if sum.Cmp(all) != 0 {
			t.Errorf("%s: %v adds up to %s of %s", key, words, sum.String(), all.String())
		}
	}
	delete(got, "limits.memory") // a decimal amount has no whole MiB; its sum is what counts
	delete(want, "limits.memory")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Promise: amounts are rounded against whoever would gain: down what there is to give, up what somebody has.
func TestAmounts(t *testing.T) {
	for _, c := range []struct {
		key, quantity string
		down, up      int64
	}{
		{"pods", "3", 3, 3}, {"pods", "1500m", 1, 2}, {"requests.cpu", "1500m", 1500, 1500}, {"cpu", "1500u", 1, 2},
		{"limits.memory", "1Ki", 1024, 1024}, {"pods", "-1", 0, 0}, {"pods", "0", 0, 0}, {"pods", "1e30", most, most},
		{"requests.cpu", "9e18", most, most}, {"requests.storage", "1E", 1e18, 1e18},
	} {
		q, key := resource.MustParse(c.quantity), corev1.ResourceName(c.key)
		if down, up := amountOf(key, q, false), amountOf(key, q, true); down != c.down || up != c.up {
			t.Errorf("%s %s: %d and %d, want %d and %d", c.key, c.quantity, down, up, c.down, c.up)
		}
	}
}

// Promise: a Space is told of what it asks for and the tenant's quota does not name, and gets no quota of it.
func TestSplitUnnamed(t *testing.T) {
	d := Split(list("pods", "5"), nil, []Share{{Space: "a", Wanted: list("gold", "3", "pods", "9")}})
	g := d.Grants[0]
	if len(g.Hard) != 1 || len(g.Shortages) != 2 || g.Shortages[0].Resource != "gold" ||
		!strings.Contains(g.Shortages[0].Why, "does not name gold") || g.Shortages[1].Resource != "pods" ||
		!strings.Contains(g.Shortages[1].Why, "raise the Tenant's spec.quota") {
		t.Errorf("%+v", g)
	}
}

// Promise: the same knowledge gives the same division, and one that is written and enforced is not changed again.
func TestSplitIsStable(t *testing.T) {
	total := list("requests.cpu", "8", "limits.cpu", "16", "requests.memory", "16Gi", "limits.memory", "32Gi", "requests.storage", "100Gi",
		"pods", "100", "count/pods", "100", "services.nodeports", "0", "count/secrets", "500")
	shares := []Share{
		{Space: "a", Wanted: list("pods", "30")}, {Space: "b"}, {Space: "c", Wanted: list("requests.cpu", "3")},
	}
	d := Split(total, nil, shares)
	for i := range shares {
		shares[i].Quota = &corev1.ResourceQuota{
			Spec:   corev1.ResourceQuotaSpec{Hard: d.Grants[i].Hard},
			Status: corev1.ResourceQuotaStatus{Hard: d.Grants[i].Hard},
		}
	}
	again := Split(total, d.Ledger, shares)
	if diff := cmp.Diff(d, again); diff != "" {
		t.Errorf("(-first +again)\n%s", diff)
	}
	if !slices.IsSortedFunc(d.Ledger, func(a, b v1alpha1.LedgerEntry) int { return strings.Compare(a.Space, b.Space) }) {
		t.Error("the ledger is not sorted")
	}
}
