//go:build race

package clustergen

// RaceDivisor divides the sizes of tests: with the race detector everything takes ten times as long, and a race shows in a
// few rounds. `make test` tries the full numbers without it.
const RaceDivisor = 10
