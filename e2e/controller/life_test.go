package controller_test

import (
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: a tenant and its Space come to be, are Ready with proof, and go without leaving anything.
func TestLifeOfATenant(t *testing.T) {
	start(t, nil)
	p := platform()
	ready(t, p)
	tenant := newTenant("life")
	create(t, tenant)
	ready(t, tenant)
	space := newSpace("life", "shop")
	create(t, space)
	ready(t, space)
	if err := admin.Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	gone(t, space)
	gone(t, tenant)
	_ = v1alpha1.PlatformName
}
