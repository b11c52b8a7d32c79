// Package network judges who can connect to whom, and what prevents it. The comment of Reach has the rules of policies.
// Judged are
//
//   - every ordered pair of tenants: connections beyond the declared flows, through policies or on a shared node;
//   - each side alone: what a tenant's pods, existing or yet to be created, may send to other tenants, to the metadata
//     address, to nodes and to the whole internet, and from which peers they accept connections;
//   - what policies do not apply to: pods in their node's network, Services that open node ports, claim addresses, or lead to
//     names inside the cluster; EndpointSlices that send traffic to addresses of others, past the policies of those that
//     trust them;
//   - what a tenant may do about it by its own rights: policies that open (they add up), and labels of namespaces that
//     others' policies trust.
//
// A finding is about a cause and names it first, however many pairs it lets connect.
package network
