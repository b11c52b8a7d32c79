package engine

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

// Under a tenant's identity the prover sends dry-runs only, whatever an attack says.
func TestNothingButDryRunsGoesOutAsATenant(t *testing.T) {
	reached := false
	a := actor{next: reaching{&reached}}
	for _, request := range []struct{ method, query string }{
		{http.MethodPost, ""}, {http.MethodPatch, "?dryRun="}, {http.MethodPost, "?dryRun=none"},
		{http.MethodDelete, "?dryRun=All"}, {http.MethodPut, "?dryRun=All"}, {http.MethodGet, "?dryRun=All"},
	} {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), actAs{}, &actingAs{subject: &jane}), request.method, "http://x/"+request.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = a.RoundTrip(r); err == nil || reached { //nolint:bodyclose // there is no body
			t.Fatalf("%s %s went out", request.method, request.query)
		}
	}
}

// reaching notes that a request went out.
type reaching struct{ reached *bool }

func (r reaching) RoundTrip(*http.Request) (*http.Response, error) {
	*r.reached = true
	return nil, errors.New("reached")
}
