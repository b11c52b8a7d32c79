package observe

import (
	"strconv"
	"strings"
)

// flow reads a map or list in brackets, or a word, on the rest of the line.
func (q *quickYAML) flow(depth int) (any, bool) {
	if depth > quickDepth || q.at == q.end {
		return nil, false
	}
	switch q.text[q.at] {
	case '{':
		return q.flowMapping(depth)
	case '[':
		return q.flowSequence(depth)
	case '"', '\'':
		return q.quoted()
	default:
		return q.flowPlain()
	}
}

func (q *quickYAML) flowSequence(depth int) (any, bool) {
	list := make([]any, 0, 4)
	q.at++
	if q.blanks(); q.closes(']') {
		return list, true
	}
	for {
		item, ok := q.flow(depth + 1)
		if !ok {
			return nil, false
		}
		list = append(list, item)
		if q.blanks(); q.closes(']') {
			return list, true
		}
		if !q.closes(',') {
			return nil, false
		}
		q.blanks()
	}
}

func (q *quickYAML) flowMapping(depth int) (any, bool) {
	object := make(map[string]any, 8)
	q.at++
	if q.blanks(); q.closes('}') {
		return object, true
	}
	for {
		key, ok := q.flowKey()
		if _, twice := object[key]; !ok || twice {
			return nil, false
		}
		q.blanks()
		value, ok := q.flow(depth + 1)
		if !ok {
			return nil, false
		}
		object[key] = value
		if q.blanks(); q.closes('}') {
			return object, true
		}
		if !q.closes(',') {
			return nil, false
		}
		q.blanks()
	}
}

// flowKey reads a key, which may be quoted as JSON has it.
func (q *quickYAML) flowKey() (string, bool) {
	if q.at == q.end || q.text[q.at] != '"' {
		return q.key()
	}
	key, ok := q.quoted()
	return key, ok && key != "<<" && len(key) <= quickKeyBytes && q.closes(':') && q.at < q.end && q.text[q.at] == ' '
}

// closes goes past c if it comes next.
func (q *quickYAML) closes(c byte) bool {
	if q.at == q.end || q.text[q.at] != c {
		return false
	}
	q.at++
	return true
}

// quoted reads a quoted word without escapes.
func (q *quickYAML) quoted() (string, bool) {
	quote := q.text[q.at]
	rest := q.text[q.at+1 : q.end]
	n := strings.IndexByte(rest, quote)
	if n < 0 || quote == '"' && strings.IndexByte(rest[:n], '\\') >= 0 {
		return "", false
	}
	q.at += n + 2
	if q.at < q.end && q.text[q.at] == quote { // '' stands for one quote
		return "", false
	}
	return rest[:n], true
}

// plain reads a word without quotes to the end of the line.
func (q *quickYAML) plain() (any, bool) {
	word := q.text[q.at:q.end]
	if n := strings.Index(word, " #"); n >= 0 {
		word = word[:n]
	}
	word = strings.TrimRight(word, " ")
	if strings.IndexByte(word, '#') >= 0 || strings.HasSuffix(word, ":") || strings.Contains(word, ": ") {
		return nil, false
	}
	return resolve(word)
}

// flowPlain reads a word without quotes inside of brackets.
func (q *quickYAML) flowPlain() (any, bool) {
	start := q.at
	for ; q.at < q.end && strings.IndexByte(",]}", q.text[q.at]) < 0; q.at++ {
		c := q.text[q.at]
		switch {
		case keyLetter(c), strings.IndexByte(" *+=@~", c) >= 0:
		case c == ':' && q.at+1 < q.end && letterOrDigit(q.text[q.at+1]):
		default:
			return nil, false
		}
	}
	return resolve(strings.TrimRight(q.text[start:q.at], " "))
}

// ambiguous are words that are not, or not to everybody, just words.
const ambiguous = " true false null yes no on off y n "

// resolve turns a word without quotes into a string, a whole number or a boolean; false for all that needs thought.
func resolve(word string) (any, bool) {
	switch {
	case word == "true" || word == "false":
		return word == "true", true
	case word == "" || !letterOrDigit(word[0]) && word[0] != '/':
		return nil, false
	case word[0] > '9' || word[0] == '/':
		return word, len(word) > len("false") || !strings.Contains(ambiguous, " "+strings.ToLower(word)+" ")
	case strings.ContainsAny(word, "imkKMG/"): // no number has them, nor a date
		return word, true
	}
	n, err := strconv.ParseInt(word, 10, 64)
	return n, err == nil && len(word) < 18 && (word[0] != '0' || word == "0")
}
