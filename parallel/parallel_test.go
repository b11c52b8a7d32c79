package parallel_test

import (
	"bytes"
	"testing"

	"github.com/bulkhead-dev/bulkhead/parallel"
)

// Promise: each index is called once, however the calls are spread.
func TestEachCallsEachOnce(t *testing.T) {
	for _, workers := range []int{0, 1, 2, 8} {
		for _, n := range []int{0, 1, 5, 64, 1000} {
			for _, chunk := range []int{1, 7, 64} {
				calls := make([]int, n)
				parallel.Each(workers, n, chunk, func(i int) { calls[i]++ })
				for i, c := range calls {
					if c != 1 {
						t.Fatalf("%d workers, %d in chunks of %d: %d was called %d times", workers, n, chunk, i, c)
					}
				}
			}
		}
	}
}

// Promise: a panic in a goroutine reaches the caller, with its value and the stack of the place where it arose.
func TestAPanicReachesTheCaller(t *testing.T) {
	defer func() {
		p, is := recover().(*parallel.PanicError)
		if !is || p.Value != "burst" || p.Error() != "burst" || !bytes.Contains(p.Stack, []byte("parallel_test.burst")) {
			t.Errorf("the caller got %v", p)
		}
	}()
	parallel.Each(4, 100, 1, func(i int) {
		if i == 50 {
			burst()
		}
	})
}

func burst() { panic("burst") }
