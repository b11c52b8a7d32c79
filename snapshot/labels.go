package snapshot

import (
	"cmp"
	"slices"
)

// Label is one label.
type Label struct {
	Key, Value string
}

// Labels are labels sorted by key: a third of a map's memory, and two equal sets compare equal.
type Labels []Label

// LabelsOf returns the labels of a map.
func LabelsOf(m map[string]string) Labels {
	if len(m) == 0 {
		return nil
	}
	labels := make(Labels, 0, len(m))
	for key, value := range m {
		labels = append(labels, Label{key, value})
	}
	slices.SortFunc(labels, func(a, b Label) int { return cmp.Compare(a.Key, b.Key) })
	return labels
}

// Get returns the value of a key, and whether it is there.
func (l Labels) Get(key string) (string, bool) {
	for i := range l {
		if l[i].Key == key {
			return l[i].Value, true
		}
	}
	return "", false
}

// with returns the labels with one set.
func (l Labels) with(key, value string) Labels {
	i, found := slices.BinarySearchFunc(l, key, func(a Label, k string) int { return cmp.Compare(a.Key, k) })
	if found && l[i].Value == value {
		return l
	}
	l = slices.Clone(l)
	if found {
		l[i].Value = value
		return l
	}
	return slices.Insert(l, i, Label{key, value})
}
