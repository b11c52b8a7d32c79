package clustergen_test

import (
	"bufio"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "draw the chart of docs/performance.md and fill in its figures from the benchmark's output")

const (
	measured = "../../docs/performance/network.txt"
	drawn    = "../../docs/performance/network.svg"
	page     = "../../docs/performance.md"
)

// point is one line of the benchmark's output.
type point struct {
	pods, cpu, clock float64 // milliseconds
	metrics          map[string]float64
}

var benchmarkLine = regexp.MustCompile(`^Benchmark(\w+)(?:/([\w=-]+?))?(?:-\d+)?\s+\d+\s+([\d.]+) ns/op(.*)`)

// readBenchmarks returns the points by benchmark, as they were measured.
func readBenchmarks(t *testing.T) map[string][]point {
	t.Helper()
	file, err := os.Open(measured)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	points := map[string][]point{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		m := benchmarkLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		p := point{metrics: map[string]float64{}}
		name := m[1]
		if pods, isSize := strings.CutPrefix(m[2], "pods="); isSize {
			p.pods = number(t, pods)
		} else {
			name += "/" + m[2]
		}
		p.clock = number(t, m[3]) / 1e6
		words := strings.Fields(m[4])
		for i := 0; i+1 < len(words); i += 2 {
			p.metrics[words[i+1]] = number(t, words[i])
		}
		p.cpu = p.metrics["cpu-ms/op"]
		points[name] = append(points[name], p)
	}
	return points
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDocs: the chart and the figures are those that were measured. -update draws them.
func TestDocs(t *testing.T) {
	points := readBenchmarks(t)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		t.Fatalf("%s has no place for the figures", page)
	}
	for file, want := range map[string]string{drawn: chart(points), page: before + begin + table(points) + end + after} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what %s says (%v): run make generate", file, measured, err)
		}
	}
}

const (
	width, height            = 760, 440
	left, right, top, bottom = 70, 590, 30, 380
	fewestPods, mostPods     = 100, 100_000
	leastMs, mostMs          = 0.1, 10_000
)

func at(p point) (x, y float64) {
	share := func(value, least, most float64) float64 {
		return math.Log(value/least) / math.Log(most/least)
	}
	return left + (right-left)*share(p.pods, fewestPods, mostPods), bottom - (bottom-top)*share(p.cpu, leastMs, mostMs)
}

// chart draws processor time against the number of pods, both by powers of ten.
func chart(points map[string][]point) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13" role="img">
<title>Network reach: processor time by number of pods</title>
<rect width="%d" height="%d" fill="#ffffff"/>
`, width, height, width, height)
	line := func(a, z point, style string) {
		x1, y1 := at(a)
		x2, y2 := at(z)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
	}
	label := func(x, y float64, anchor, color, text string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, color, text)
	}
	for pods := float64(fewestPods); pods <= mostPods; pods *= 10 {
		x, y := at(point{pods: pods, cpu: leastMs})
		line(point{pods: pods, cpu: leastMs}, point{pods: pods, cpu: mostMs}, `stroke="#e4e4e4"`)
		label(x, y+20, "middle", "#444444", strconv.FormatFloat(pods, 'f', 0, 64))
	}
	for i, name := range []string{"0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s"} {
		p := point{pods: fewestPods, cpu: leastMs * math.Pow10(i)}
		x, y := at(p)
		line(p, point{pods: mostPods, cpu: p.cpu}, `stroke="#e4e4e4"`)
		label(x-8, y+4, "end", "#444444", name)
	}
	label((left+right)/2, height-16, "middle", "#222222", "pods in the cluster")
	label(left, top-10, "start", "#222222", "processor time for the verdict on every ordered pair of tenants, from nothing")
	for _, limit := range []struct {
		ms   float64
		name string
	}{{3000, "3 s, required"}, {1000, "1 s, the aim"}} {
		x, y := at(point{pods: mostPods, cpu: limit.ms})
		line(point{pods: fewestPods, cpu: limit.ms}, point{pods: mostPods, cpu: limit.ms}, `stroke="#888888" stroke-dasharray="2 4"`)
		label(x+8, y+4, "start", "#666666", limit.name)
	}
	for i, series := range []struct{ name, color, text string }{
		{"NetworkReachWithAdminPolicies", "#b5541c", "with 100 ClusterNetworkPolicies added"}, {"NetworkReach", "#1f5fa8", "NetworkPolicies alone"}} {
		var path []string
		for _, p := range points[series.name] {
			x, y := at(p)
			path = append(path, fmt.Sprintf("%.1f,%.1f", x, y))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x, y, series.color)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), series.color)
		label(right-12, bottom-36+float64(i)*20, "end", series.color, "● "+series.text)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// table writes the figures in Markdown.
func table(points map[string][]point) string {
	var b strings.Builder
	b.WriteString("\n| pods | namespaces | NetworkPolicies | tenants | processor | with 100 admin policies | memory in use |\n|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, p := range points["NetworkReach"] {
		admin := "-"
		if list := points["NetworkReachWithAdminPolicies"]; i < len(list) {
			admin = milliseconds(list[i].cpu)
		}
		fmt.Fprintf(&b, "| %.0f | %.0f | %.0f | %.0f | %s | %s | %.0f MB |\n", p.pods, p.metrics["namespaces"], p.metrics["policies"],
			p.metrics["tenants"], milliseconds(p.cpu), admin, math.Ceil(p.metrics["MB-live"]))
	}
	return b.String() + "\n"
}

func milliseconds(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}
