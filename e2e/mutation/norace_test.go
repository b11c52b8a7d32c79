//go:build !race

package mutation_test

// sample is how many mutants stand for one that is looked at by default.
const sample = 12
