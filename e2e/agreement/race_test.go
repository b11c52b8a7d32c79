//go:build race

package agreement_test

// seedsInTheSuite are few under the race detector, which makes a seed five times as slow and hears all there is to hear in
// the first: `make test` looks at the 200 without it.
const seedsInTheSuite = 10
