// Package parallel spreads a loop over goroutines.
package parallel

import (
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// PanicError is a panic of a goroutine, as it goes on in the goroutine that waits for it.
type PanicError struct {
	Value any
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

// Error returns the value of the panic; the stack is a matter of its own.
func (p *PanicError) Error() string { return fmt.Sprint(p.Value) }

// Each calls f for 0 to n-1 on at most workers goroutines and returns when all have returned. A goroutine takes chunk calls
// at a time, so that short ones are worth a hand-over. A panic of f continues in the caller as a *PanicError: otherwise it would
// end the process where no caller can handle it.
func Each(workers, n, chunk int, f func(i int)) {
	if workers <= 1 || n <= chunk {
		for i := range n {
			f(i)
		}
		return
	}
	var group errgroup.Group
	group.SetLimit(workers)
	for from := 0; from < n; from += chunk {
		group.Go(func() (err error) {
			defer func() {
				if value := recover(); value != nil {
					err = &PanicError{Value: value, Stack: debug.Stack()}
				}
			}()
			for i := from; i < min(from+chunk, n); i++ {
				f(i)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		panic(err)
	}
}
