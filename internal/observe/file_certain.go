package observe

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// certainties are quick answers to CEL rules, by the rule's text: true when the rule certainly holds for the value. A
// rule that is reworded loses its answer, and CEL is asked; a test tells of answers to rules that no schema has.
func certainties() map[string]func(value any) bool {
	const serviceAccount = "ServiceAccount"
	shortName := func(longest int) func(any) bool {
		return func(value any) bool { return lowerWord(text(fieldOf(fieldOf(value, "metadata"), "name")), longest) }
	}
	without := func(name string) func(any) bool {
		return func(value any) bool {
			spec, isMap := fieldOf(value, "spec").(map[string]any)
			_, has := spec[name]
			return isMap && !has
		}
	}
	return map[string]func(any) bool{
		`self == oldSelf`: func(any) bool { return true }, // nothing is older than a file's object
		`self.metadata.name.matches('^[a-z0-9]+(-[a-z0-9]+)*$') && size(self.metadata.name) <= 28`:                       shortName(28),
		`self.metadata.name.matches('^[a-z0-9]+(-[a-z0-9]+)*$') && size(self.metadata.name) <= 32`:                       shortName(32),
		`!has(self.spec.to) || self.spec.to.all(f, !has(f.space) || has(f.tenant) || f.space != self.metadata.name)`:     without("to"),
		`!has(self.spec.from) || self.spec.from.all(f, !has(f.space) || has(f.tenant) || f.space != self.metadata.name)`: without("from"),
		`self.all(a, self.exists_one(b, a == b))`:                                                                        ownersDiffer,
		`(self.kind == 'ServiceAccount') == (has(self.__namespace__) && size(self.__namespace__) > 0)`: func(value any) bool {
			kind := text(fieldOf(value, "kind"))
			return kind != "" && (kind == serviceAccount) == (text(fieldOf(value, "namespace")) != "")
		},
		`!self.name.startsWith('system:')`: func(value any) bool {
			name := text(fieldOf(value, "name"))
			return name != "" && !strings.HasPrefix(name, "system:")
		},
		`self.kind != 'ServiceAccount' || self.name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')`: func(value any) bool {
			kind := text(fieldOf(value, "kind"))
			return kind != "" && kind != serviceAccount || lowerWord(text(fieldOf(value, "name")), 63)
		},
		`self.all(k, type(self[k]) == int ? self[k] >= 0 : !self[k].startsWith('-'))`: everyAmount(func(_ string, n int64, amount string) bool {
			return n >= 0 && !strings.HasPrefix(amount, "-")
		}),
		`self.all(k, type(self[k]) == int || k.endsWith('.cpu') || !(self[k].endsWith('m') || self[k].endsWith('u') || self[k].endsWith('n')))`: everyAmount(func(key string, _ int64, amount string) bool {
			return strings.HasSuffix(key, ".cpu") || !strings.HasSuffix(amount, "m") && !strings.HasSuffix(amount, "u") && !strings.HasSuffix(amount, "n")
		}),
		`self.all(k, type(self[k]) == int || size(self[k]) <= 16)`: everyAmount(func(_ string, _ int64, amount string) bool { return len(amount) <= 16 }),
		`!('services.nodeports' in self) || self['services.nodeports'] == 0 || self['services.nodeports'] == '0'`: func(value any) bool {
			amounts, isMap := value.(map[string]any)
			_, has := amounts["services.nodeports"]
			return isMap && !has
		},
		`self.all(k, size(self[k]) <= 63)`: everyAmount(func(_ string, _ int64, amount string) bool { return len(amount) <= 63 }),
	}
}

// certainMatch answers the rules that match a word, or the keys of a map, with a regular expression; CEL has Go's own. It
// is nil for all other rules.
func certainMatch(rule string) func(value any) bool {
	found := regexp.MustCompile(`^self\.(?:all\(k, size\(k\) <= ([0-9]{1,4}) && k\.)?matches\('([^'\\]*)'\)(\))?$`).FindStringSubmatch(rule)
	if found == nil || (found[1] == "") != (found[3] == "") {
		return nil
	}
	pattern, err := regexp.Compile(found[2])
	if err != nil {
		return nil
	}
	if found[1] == "" {
		return func(value any) bool {
			word, isString := value.(string)
			return isString && pattern.MatchString(word)
		}
	}
	longest, err := strconv.Atoi(found[1])
	if err != nil {
		return nil
	}
	return func(value any) bool {
		object, isMap := value.(map[string]any)
		for key := range object {
			if utf8.RuneCountInString(key) > longest || !pattern.MatchString(key) {
				return false
			}
		}
		return isMap
	}
}

// everyAmount asks for each entry of a map of numbers and words; n is 0 for a word, and amount empty for a number.
func everyAmount(holds func(key string, n int64, amount string) bool) func(value any) bool {
	return func(value any) bool {
		amounts, isMap := value.(map[string]any)
		for key, amount := range amounts {
			n, isNumber := amount.(int64)
			word, isString := amount.(string)
			if !isNumber && !isString || !holds(key, n, word) {
				return false
			}
		}
		return isMap
	}
}

// ownersDiffer says that no two owners are the same: each two of them have another name or another kind.
func ownersDiffer(value any) bool {
	owners, isList := value.([]any)
	if !isList || len(owners) > maxDistinct {
		return false
	}
	for i := range owners {
		for j := range i {
			if text(fieldOf(owners[i], "name")) == text(fieldOf(owners[j], "name")) && text(fieldOf(owners[i], "kind")) == text(fieldOf(owners[j], "kind")) {
				return false
			}
		}
	}
	return true
}

// certainMeta says that the API server takes an object's metadata as it is: a name, and what else people write.
func certainMeta(value any, namespaced bool) bool {
	meta, isMap := value.(map[string]any)
	if !isMap || !lowerWord(text(meta["name"]), 63) {
		return false
	}
	for key, value := range meta {
		switch key {
		case "name":
		case "namespace":
			if !namespaced || !lowerWord(text(value), 63) {
				return false
			}
		case "labels":
			if !certainLabels(value) {
				return false
			}
		default:
			return false
		}
	}
	_, has := meta["namespace"]
	return has == namespaced
}

// certainLabels says that labels are ones whose keys and values the API server takes.
func certainLabels(value any) bool {
	labels, isMap := value.(map[string]any)
	for key, value := range labels {
		prefix, name, prefixed := strings.Cut(key, "/")
		if !prefixed {
			prefix, name = "x", key
		}
		word, isString := value.(string)
		if !isString || !lowerWord(name, 63) || word != "" && !lowerWord(word, 63) {
			return false
		}
		for _, part := range strings.Split(prefix, ".") {
			if len(prefix) > 253 || !lowerWord(part, 63) {
				return false
			}
		}
	}
	return isMap
}

// lowerWord says that word consists of small letters and digits with single hyphens between them, at most longest.
func lowerWord(word string, longest int) bool {
	if word == "" || len(word) > longest {
		return false
	}
	hyphen := true
	for i := range len(word) {
		c := word[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			hyphen = false
		case c == '-' && !hyphen:
			hyphen = true
		default:
			return false
		}
	}
	return !hyphen
}

func fieldOf(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}
