// Package check checks a cluster: whether it can enforce what Bulkhead renders, whether Bulkhead is healthy, whether its
// tenants are isolated, and whether there are leftovers. It reads, and has the API server review access and dry-run; it
// changes nothing.
package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/internal/install"
)

// State of a finding. What could not be determined is Unknown, and Unknown is never reported as OK.
type State string

// The states. Note is for what is worth knowing and neither good nor bad.
const (
	OK      State = "OK"
	Problem State = "Problem"
	Unknown State = "Unknown"
	Note    State = "Note"
)

// Finding is one line of a report.
type Finding struct {
	// Code of the check, such as BHC101. It is stable across releases.
	Code  string `json:"code"`
	Group string `json:"group"`
	// Subject is what was looked at: a part of the cluster, a tenant, a namespace.
	Subject string `json:"subject"`
	State   State  `json:"state"`
	// Detail is what was found.
	Detail string `json:"detail"`
	// Fix is what to do next; empty when nothing is to be done.
	Fix string `json:"fix,omitempty"`
	// Controls that are not enforced, or not known to be, because of this finding.
	Controls []string `json:"controls,omitempty"`
	// Required is true when Bulkhead cannot be installed unless this is OK.
	Required bool `json:"required,omitempty"`
	// Doc is where the check is explained.
	Doc string `json:"doc"`
}

// The groups, as the questions that they answer, in the order of a report.
const (
	GroupCluster  = "Can this cluster enforce?"
	GroupInstall  = "Can Bulkhead be installed?"
	GroupBulkhead = "Is Bulkhead healthy?"
	GroupTenants  = "Are the tenants isolated?"
	GroupHygiene  = "Are there leftovers?"
)

// Check is one thing that is looked at.
type Check struct {
	Code  string
	Group string
	// Title is what is looked at, in a few words.
	Title string
	// Why it matters.
	Why string
	// Fix is what to do when it fails.
	Fix string
	// Controls depend on what is checked: without it, they are not enforced.
	Controls []string
	// Required marks what Bulkhead cannot do without.
	Required bool

	run func(context.Context, *session) ([]Finding, error)
}

// Doc is where the check is explained.
func (c *Check) Doc() string { return "docs/checks.md#" + strings.ToLower(c.Code) }

// found is a finding whose subject is what its check is about.
func found(state State, detail string, args ...any) Finding {
	return Finding{State: state, Detail: fmt.Sprintf(detail, args...)}
}

// one is the answer of a check that has one finding.
func one(state State, detail string, args ...any) ([]Finding, error) {
	return []Finding{found(state, detail, args...)}, nil
}

// Cluster holds what checks need of one cluster.
type Cluster struct {
	// Config reaches it, with the rights of the user who checks.
	Config *rest.Config
	// Options of the installation that is checked, or that is about to be made.
	Options install.Options
	// Skew is how far a clock on the cluster may differ from the API server's before leases and proofs count as late.
	// Zero means DefaultSkew.
	Skew time.Duration
}

// DefaultSkew allows for clocks that are kept by NTP and for a request's time.
const DefaultSkew = 15 * time.Second

// defaultFreshness is that of a Platform that sets none.
const defaultFreshness = 10 * time.Minute

// session is one run of checks.
type session struct {
	Cluster
	client    client.Client
	discovery discovery.DiscoveryInterface
	http      *http.Client
	// url of a path that every identity may read.
	url *url.URL
	// now is the API server's clock, as proofs, leases and waivers are judged against what that cluster calls now.
	now time.Time
	// freshness is how old a proof may be.
	freshness time.Duration
	// families are the API server's metrics; nil until they are read.
	families map[string]*dto.MetricFamily
}

// Preflight runs the checks that must come before an installation: can this cluster enforce, and can it be done.
func (c Cluster) Preflight(ctx context.Context) ([]Finding, error) {
	return c.run(ctx, GroupCluster, GroupInstall)
}

// All runs every check of a cluster that has Bulkhead.
func (c Cluster) All(ctx context.Context) ([]Finding, error) {
	return c.run(ctx, GroupCluster, GroupBulkhead, GroupTenants, GroupHygiene)
}

// run returns the findings in the order of Checks. An error means that the cluster could not be reached at all; what
// keeps a single check from its answer becomes an Unknown finding.
func (c Cluster) run(ctx context.Context, groups ...string) ([]Finding, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, check := range Checks() {
		if !slices.Contains(groups, check.Group) {
			continue
		}
		part, err := check.run(ctx, s)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s %s: %w", check.Code, check.Title, ctx.Err())
		}
		if err != nil {
			if unreachable(err) {
				return nil, fmt.Errorf("%s %s: %w", check.Code, check.Title, err)
			}
			part = append(part, found(Unknown, "could not be determined: %v", err))
		}
		for i := range part {
			check.complete(&part[i])
		}
		findings = append(findings, part...)
	}
	return findings, nil
}

// complete fills in what a finding has from its check.
func (c *Check) complete(f *Finding) {
	f.Code, f.Group, f.Required, f.Doc = c.Code, c.Group, c.Required, c.Doc()
	if f.Subject == "" {
		f.Subject = c.Title
	}
	if f.State == Problem || f.State == Unknown {
		f.Controls = c.Controls
		if f.Fix == "" {
			f.Fix = c.Fix
		}
	}
}

func (c Cluster) open(ctx context.Context) (*session, error) {
	if c.Skew == 0 {
		c.Skew = DefaultSkew
	}
	config := rest.CopyConfig(c.Config)
	config.QPS = -1 // a check is short and asked for by a person; API fairness keeps it in bounds
	config.WarningHandler = rest.NoWarnings{}
	c.Config = config
	s := &session{Cluster: c}
	if err := s.connect(); err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", config.Host, err)
	}
	now, err := s.serverTime(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the API server at %s: %w", config.Host, err)
	}
	s.now = now
	platform, err := install.FindPlatform(ctx, s.client)
	if err != nil {
		return nil, err
	}
	s.freshness = defaultFreshness
	if platform != nil && platform.Spec.ProofFreshness.Duration > 0 {
		s.freshness = platform.Spec.ProofFreshness.Duration
	}
	return s, nil
}

func (s *session) connect() (err error) {
	if s.client, err = install.NewClient(s.Config); err != nil {
		return err
	}
	if s.http, err = rest.HTTPClientFor(s.Config); err != nil {
		return err
	}
	if s.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(s.Config, s.http); err != nil {
		return err
	}
	if s.url, _, err = rest.DefaultServerUrlFor(s.Config); err != nil {
		return err
	}
	s.url = s.url.JoinPath("version")
	return nil
}

// unreachable reports whether the cluster is lost, and not only the question refused.
func unreachable(err error) bool {
	var network net.Error
	return !isStatus(err) && errors.As(err, &network)
}

func isStatus(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// Worst is the state that a whole report has: Problem before Unknown before OK. Notes do not count.
func Worst(findings []Finding) State {
	worst := OK
	for _, f := range findings {
		if f.State == Problem {
			return Problem
		}
		if f.State == Unknown {
			worst = Unknown
		}
	}
	return worst
}

// Missing returns what keeps Bulkhead from being installed: required findings that are problems.
func Missing(findings []Finding) []Finding {
	var missing []Finding
	for _, f := range findings {
		if f.Required && f.State == Problem {
			missing = append(missing, f)
		}
	}
	return missing
}

// Checks returns every check in the order of a report. The slice is the caller's to change.
func Checks() []Check {
	return slices.Concat(clusterChecks(), installChecks(), bulkheadChecks(), tenantChecks(), hygieneChecks())
}
