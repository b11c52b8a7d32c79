//go:build race

package mutation_test

// sample is how many mutants stand for one that is looked at: few are enough for the race detector to hear what it can.
const sample = 100
