package observe

import (
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/scheme"
)

// Promise: what proofs read of an object is the same whether it came as protobuf or as JSON, for every built-in kind.
func TestProtobufAndJSONReadAlike(t *testing.T) {
	const seed, rounds, kinds = 1, 20, 33
	fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(seed), serializer.NewCodecFactory(scheme.Scheme))
	compared := 0
	for gk, k := range Kinds() {
		gvk := gk.WithVersion("v1")
		if k.FilesOnly || !scheme.Scheme.Recognizes(gvk) {
			continue
		}
		compared++
		for range rounds {
			sent, err := scheme.Scheme.New(gvk)
			if err != nil {
				t.Fatal(err)
			}
			fill.Fill(sent)
			sent.GetObjectKind().SetGroupVersionKind(gvk)
			compareForms(t, &k, sent)
		}
	}
	if compared != kinds {
		t.Errorf("%d kinds compared, want %d", compared, kinds)
	}
}

func compareForms(t *testing.T, k *Kind, sent runtime.Object) {
	t.Helper()
	data, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	value := map[string]any{}
	if err := kjson.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	wire := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	if data, err = runtime.Encode(wire, sent); err != nil {
		t.Fatal(err)
	}
	came, err := runtime.Decode(wire, data)
	if err != nil {
		t.Fatal(err)
	}
	came.GetObjectKind().SetGroupVersionKind(sent.GetObjectKind().GroupVersionKind())
	object, is := came.(metav1.Object)
	if !is {
		t.Fatalf("%T has no name", sent)
	}
	want, wantErr := k.Decode(value)
	got, err := Reduce(object)
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%T: protobuf gives %v, JSON %v", sent, err, wantErr)
	} else if err == nil && !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("%T: JSON -, protobuf +:\n%s", sent, cmp.Diff(want, got))
	}
}
