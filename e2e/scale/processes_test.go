package scale_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// spent is the processor time in seconds, user and system, of this process and of its children, by name. Others use the
// machine too: processor time says what a run costs, where the clock also says how busy the machine was.
type spent map[string]float64

// processorTime reads it from /proc; elsewhere it is empty.
func processorTime() spent {
	self := strconv.Itoa(os.Getpid())
	total := spent{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return total
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state ppid ... with user and system time as fields 14 and 15, in hundredths of a second.
		head, rest, _ := strings.Cut(string(text), "(")
		name, tail, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(tail)
		const parent, user, system, ticks = 1, 11, 12, 100
		if len(fields) <= system || fields[parent] != self && strings.TrimSpace(head) != self {
			continue
		}
		for _, field := range []int{user, system} {
			hundredths, _ := strconv.ParseFloat(fields[field], 64) // the kernel writes numbers
			if fields[parent] != self {
				name = "clients"
			} else if strings.HasSuffix(name, ".test") {
				name = "controllers"
			}
			total[name] += hundredths / ticks
		}
	}
	return total
}

func (s spent) since(before spent) spent {
	difference := spent{}
	for name, seconds := range s {
		difference[name] = seconds - before[name]
	}
	return difference
}

func (s spent) sum() float64 {
	total := 0.0
	for _, seconds := range s {
		total += seconds
	}
	return total
}

func (s spent) String() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&text, "%s %.1f s, ", name, s[name])
	}
	return fmt.Sprintf("%stogether %.1f s", text.String(), s.sum())
}
