// Package attack tries, with a tenant's own identities and through the real API, what the tenant must not be able to do. What is
// tried is data of package hostile; here are the rooms that try it:
//
//   - engine sends a case's requests in all scenes in which it applies, and judges the answers: any error is not a refusal, only
//     the expected authority's own words are, and only next to a harmless twin that succeeded. Everything else is Unknown, and
//     Unknown is never reported as Isolated;
//   - catalogue groups the cases into suites, and makes reports of their results;
//   - prover asks the fourteen most telling questions for the condition Proven, and changes nothing;
//   - fuzz sends what no one wrote down.
//
// The tests in this folder run all of them against a real API server.
package attack
