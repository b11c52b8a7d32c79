// Package capacity judges API capacity: which priority level, and which flow of it, the requests of each tenant land in, and
// so who can starve whom.
//
// The API server evaluates FlowSchemas in ascending order of matchingPrecedence, and of name where that is equal. The first
// that matches the subject and the request decides. One whose priority level does not exist is skipped. For every tenant
// its owners and the service accounts of its namespaces are judged, each with short requests and lists, in its namespace and
// over all, and one that is for no resource: requests are queued before rights are checked.
//
// Exposed is a tenant on a level without limits; on a level that nodes, controllers or the scheduler need; a tenant that
// has a flow for each of its service accounts, or users, on a level that others use as well, since it multiplies its
// share by making more; two tenants in one flow; a level that rejects instead of queueing, or has too few queues to keep
// flows apart; and levels for tenants that together take more than half of all seats.
//
// Not judged: what one request costs (lists of large collections take more seats), and other API servers in front.
package capacity
