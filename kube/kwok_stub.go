//go:build !later

package main

import "fmt"
import "os"

func runKwok() int { fmt.Fprintln(os.Stderr, "kwok: not built in yet"); return 1 }
