//go:build race

package isolation

// RaceDivisor: under the race detector everything takes ten times as long, and what it can hear it hears soon. `make test`
// tries the full numbers without it.
const RaceDivisor = 10
