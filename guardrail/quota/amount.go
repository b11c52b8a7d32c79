package quota

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func (c *column) quantity(n int64) resource.Quantity {
	if isCPU(c.key) {
		return *resource.NewMilliQuantity(n, c.format)
	}
	return *resource.NewQuantity(n, c.format)
}

// most is the largest amount that is counted with, a little above 1E, which is the largest that the API accepts. What
// is larger counts as this.
const most = math.MaxInt64 / 8

// Amount of a quantity in the unit that its key is measured in, rounded down: thousandths of a CPU, bytes, objects.
func Amount(key corev1.ResourceName, q resource.Quantity) int64 { return amountOf(key, q, false) }

// amountOf a quantity in the unit that its key is measured in: thousandths of a CPU, bytes, objects. Fractions of the
// unit are rounded up where the amount is what a Space has, and down where it is what there is to give. Negative
// amounts count as none.
func amountOf(key corev1.ResourceName, q resource.Quantity, up bool) int64 {
	scale := resource.Scale(0)
	if isCPU(key) {
		scale = resource.Milli
	}
	if q.Sign() <= 0 {
		return 0
	}
	if q.Cmp(*resource.NewScaledQuantity(most, scale)) >= 0 {
		return most
	}
	n := q.ScaledValue(scale) // rounds up
	if !up && resource.NewScaledQuantity(n, scale).Cmp(q) > 0 {
		n--
	}
	return n
}

// add without passing the largest number.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// mebi is one MiB.
const mebi = 1 << 20

// unitOf is what an even part is rounded to: whole MiB of memory and storage, so that figures stay readable.
func unitOf(key corev1.ResourceName) int64 {
	if isBytes(key) {
		return mebi
	}
	return 1
}

// isCPU reports whether a quota key is measured in thousandths; every other key is measured in whole bytes or objects.
func isCPU(key corev1.ResourceName) bool {
	return key == corev1.ResourceCPU || strings.HasSuffix(string(key), ".cpu")
}

// isBytes reports whether a quota key is measured in bytes.
func isBytes(key corev1.ResourceName) bool {
	name := string(key)
	if strings.HasPrefix(name, "count/") {
		return false
	}
	name = name[strings.LastIndex(name, "/")+1:] // of one storage class: NAME.storageclass.storage.k8s.io/requests.storage
	return strings.HasSuffix(name, "memory") || strings.HasSuffix(name, "storage")
}
