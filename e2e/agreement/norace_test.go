//go:build !race

package agreement_test

// seedsInTheSuite is as many as the promise says.
const seedsInTheSuite = 200
