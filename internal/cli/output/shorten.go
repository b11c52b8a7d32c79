package output

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// longestWord is more than any name in a cluster has; of a longer word the beginning is shown, and how long it is.
	longestWord, shownOfWord = 300, 80
	// longestText is more than a reader needs of one sentence.
	longestText = 10_000
)

// Shortened is text as people can bear it: what tenants wrote may be a name of a hundred thousand characters.
func Shortened(text string) string {
	if len(text) <= longestWord {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		end := strings.IndexFunc(text, unicode.IsSpace)
		if end < 0 {
			end = len(text)
		}
		b.WriteString(cut(text[:end], longestWord, shownOfWord))
		_, space := utf8.DecodeRuneInString(text[end:])
		b.WriteString(text[end : end+space])
		text = text[end+space:]
	}
	return cut(b.String(), longestText, longestText)
}

// cut leaves shown characters of a text of more than longest, and says how many it has.
func cut(text string, longest, shown int) string {
	if len(text) <= longest {
		return text
	}
	n := utf8.RuneCountInString(text)
	if n <= longest {
		return text
	}
	at := 0
	for range shown {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return fmt.Sprintf("%s… (%d characters)", text[:at], n)
}
