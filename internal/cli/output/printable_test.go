package output

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What tenants write reaches terminals spelt out, however it is cut into writes; what shows, and our own colours, stay.
func TestOnlyWhatShowsIsPrinted(t *testing.T) {
	for _, c := range []struct {
		what, in, want string
		colours        bool
	}{
		{"plain text", "tenant shop → bank ✔\n\tÅke 漢字\n", "tenant shop → bank ✔\n\tÅke 漢字\n", true},
		{"a colour of ours", "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m", true},
		{"the same where nothing is coloured", "\x1b[31mred", `\u001b[31mred`, false},
		{"hidden text", "\x1b[8mhidden", `\u001b[8mhidden`, true},
		{"another title of the window", "\x1b]0;pwned\x07", `\u001b]0;pwned\u0007`, true},
		{"a line written over", "exposed\risolated", `exposed\u000disolated`, true},
		{"an escape in one byte", "\u009b2J", `\u009b2J`, true},
		{"no character", "a\x9b\xffz", "a\ufffd\ufffdz", true},
		{"text turned round", "a\u202eb", `a\u202eb`, true},
		{"no width", "a\u200b\ufeffb", `a\u200b\ufeffb`, true},
		{"tags", "a\U000e0041", `a\U000e0041`, true},
		{"a line separator", "a\u2028b", `a\u2028b`, true},
		{"joined letters", "a\u200db", "a\u200db", true},
	} {
		for size := 1; size <= len(c.in); size++ {
			var got bytes.Buffer
			w := &Printable{to: &got, colours: c.colours}
			for rest := []byte(c.in); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if n, err := w.Write(rest[:min(size, len(rest))]); err != nil || n != min(size, len(rest)) {
					t.Fatalf("%s: %d, %v", c.what, n, err)
				}
			}
			if got.String() != c.want {
				t.Fatalf("%s, %d bytes at a time: %q, want %q", c.what, size, got.String(), c.want)
			}
		}
	}
	text, err := json.Marshal("a\u202eb\x7f")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, _ = NewPrintable(&out).Write(text)
	var back string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != "a\u202eb\x7f" {
		t.Errorf("JSON %s is read as %q, %v", out.Bytes(), back, err)
	}
}
