//go:build !race

package clustergen

// RaceDivisor divides nothing: the numbers are tried in full.
const RaceDivisor = 1
