// Package examples embeds example platforms, so that `bulkhead up` has one wherever it runs.
package examples

import "embed"

// Magazine is the platform of a magazine publisher, in the folder magazine; see its README.
//
//go:embed magazine
var Magazine embed.FS
