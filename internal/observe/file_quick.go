package observe

import "strings"

// quickYAML reads the part of YAML in which nearly all objects are written: block maps and lists, maps and lists in
// brackets on one line, and words on one line. It takes a tenth of the time of the full parser, and it only ever errs on
// the side of doubt: whatever else a document holds, it gives up, and the full parser has the word and the wording. A
// fuzz test holds that what it reads is what the full parser and values.convert read.
type quickYAML struct {
	text string
	// at is the next byte, end the end of its line, indent the column in which the line starts.
	at, end, indent int
	// line counts the lines, from 1.
	line int
}

// quickDepth bounds nesting; objects of Bulkhead's are not a third as deep.
const quickDepth = 16

// quickKeyBytes bounds a key: the full parser takes none that is longer than 1024.
const quickKeyBytes = 256

// readQuickly returns a document's map and the line in which it starts; false when the full parser must be asked.
func readQuickly(text string) (object map[string]any, line int, ok bool) {
	if !plainText(text) {
		return nil, 0, false
	}
	q := quickYAML{text: text, line: 1}
	q.end = q.lineEnd(0)
	if strings.HasPrefix(text, "---") { // the mark that split cut at
		if strings.TrimRight(text[3:q.end], " ") != "" {
			return nil, 0, false
		}
		q.at = q.end
		if !q.nextLine() {
			return nil, 0, false
		}
	} else if !q.startLine(0) && !q.nextLine() {
		return nil, 0, false
	}
	if q.indent != 0 {
		return nil, 0, false
	}
	line = q.line
	value, ok := q.mapping(0, 0)
	return value, line, ok && q.at >= len(text)
}

// plainText says that the text has no tab, no carriage return, and nothing else in which YAML sees more than a letter.
func plainText(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 0x20 && c < 0x7f || c == '\n' || c >= 0x80 && c < 0xc2:
		case c < 0x80, c == 0xef: // control characters; byte order marks and what is no character
			return false
		case c == 0xc2: // more control characters, one of which ends a line
			if i+1 == len(text) || text[i+1] < 0xa0 {
				return false
			}
		case c == 0xe2: // line and paragraph separators
			if strings.HasPrefix(text[i:], "\u2028") || strings.HasPrefix(text[i:], "\u2029") {
				return false
			}
		}
	}
	return true
}

func (q *quickYAML) lineEnd(from int) int {
	if n := strings.IndexByte(q.text[from:], '\n'); n >= 0 {
		return from + n
	}
	return len(q.text)
}

// startLine stands at the first letter of a line; false when there is none but a comment's.
func (q *quickYAML) startLine(start int) bool {
	q.at, q.end = start, q.lineEnd(start)
	for q.at < q.end && q.text[q.at] == ' ' {
		q.at++
	}
	q.indent = q.at - start
	return q.at < q.end && q.text[q.at] != '#'
}

// nextLine goes on to the next line with content; false, and at the end of the text, when there is none.
func (q *quickYAML) nextLine() bool {
	for q.end < len(q.text) {
		q.line++
		if q.startLine(q.end + 1) {
			return true
		}
	}
	q.at, q.indent = len(q.text), -1
	return false
}

// endOfLine says that nothing but blanks and a comment, which is set off by a blank, follows on the line.
func (q *quickYAML) endOfLine() bool {
	start := q.at
	q.blanks()
	return q.at == q.end || q.text[q.at] == '#' && q.at > start
}

func (q *quickYAML) blanks() {
	for q.at < q.end && q.text[q.at] == ' ' {
		q.at++
	}
}

// dash says that a list's item starts here.
func (q *quickYAML) dash() bool {
	return q.at+1 < q.end && q.text[q.at] == '-' && q.text[q.at+1] == ' '
}

// block reads the map or list that starts here, in column q.indent.
func (q *quickYAML) block(depth int) (any, bool) {
	if q.dash() {
		return q.sequence(q.indent, depth)
	}
	return q.mapping(q.indent, depth)
}

// mapping reads the entries in a column, the first of which starts here, and stands at the next line after them.
func (q *quickYAML) mapping(column, depth int) (map[string]any, bool) {
	if depth > quickDepth {
		return nil, false
	}
	object := make(map[string]any, 8)
	for {
		key, ok := q.key()
		if _, twice := object[key]; !ok || twice {
			return nil, false
		}
		value, ok := q.entry(column, depth+1)
		if !ok || q.indent > column {
			return nil, false
		}
		object[key] = value
		if q.indent < column {
			return object, true
		}
	}
}

// entry reads what stands behind a key, and stands at the next line after it.
func (q *quickYAML) entry(column, depth int) (any, bool) {
	if !q.endOfLine() {
		return q.inline(depth)
	}
	q.nextLine()
	if q.indent > column || q.indent == column && q.dash() {
		return q.block(depth)
	}
	return nil, false // null
}

// sequence reads the items in a column, the first of which starts here, and stands at the next line after them.
func (q *quickYAML) sequence(column, depth int) (any, bool) {
	if depth > quickDepth {
		return nil, false
	}
	list := make([]any, 0, 4)
	for q.indent == column && q.dash() {
		start := q.at
		q.at++
		q.blanks()
		var item any
		var ok bool
		if q.atKey() {
			item, ok = q.mapping(column+q.at-start, depth+1)
		} else {
			item, ok = q.inline(depth + 1)
		}
		if !ok || q.indent > column {
			return nil, false
		}
		list = append(list, item)
	}
	return list, true
}

// inline reads a value that ends on its line, and stands at the next line.
func (q *quickYAML) inline(depth int) (any, bool) {
	var value any
	var ok bool
	if q.at < q.end && strings.IndexByte(`{["'`, q.text[q.at]) >= 0 {
		value, ok = q.flow(depth)
		if !ok || !q.endOfLine() {
			return nil, false
		}
	} else if value, ok = q.plain(); !ok {
		return nil, false
	}
	q.nextLine()
	return value, true
}

// atKey says that a key starts here, and stays.
func (q *quickYAML) atKey() bool {
	start := q.at
	_, ok := q.key()
	q.at = start
	return ok
}

// key reads a word and the colon after it.
func (q *quickYAML) key() (string, bool) {
	start := q.at
	for q.at < q.end && keyLetter(q.text[q.at]) {
		q.at++
	}
	key := q.text[start:q.at]
	if key == "" || len(key) > quickKeyBytes || !letterOrDigit(key[0]) || q.at == q.end || q.text[q.at] != ':' {
		return "", false
	}
	q.at++
	return key, q.at == q.end || q.text[q.at] == ' '
}

func letterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func keyLetter(c byte) bool {
	return letterOrDigit(c) || c == '.' || c == '-' || c == '/' || c == '_'
}
