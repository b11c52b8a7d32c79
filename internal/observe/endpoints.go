package observe

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// addEndpointKinds adds where traffic of Services goes. A cluster mirrors Endpoints in EndpointSlices by itself, and warns
// their readers.
func addEndpointKinds(add func(group, name string, k Kind)) {
	add(discoveryv1.GroupName, "EndpointSlice", Kind{Versions: []string{"v1"}, Namespaced: true, Missing: "EndpointSlice",
		Decode: decodeEndpointSlice, Put: func(c *Contents, object any) {
			if slice, is := object.(*discoveryv1.EndpointSlice); is {
				c.Endpoints = append(c.Endpoints, endpointsOf(slice))
			}
		}})
	add("", "Endpoints", Kind{Versions: []string{"v1"}, Namespaced: true, Missing: "EndpointSlice", FilesOnly: true,
		Decode: decodeAs[oldEndpoints], Put: func(c *Contents, object any) {
			if old, is := object.(*oldEndpoints); is {
				c.Endpoints = append(c.Endpoints, old.endpoints())
			}
		}})
}

func decodeEndpointSlice(value map[string]any) (metav1.Object, error) {
	slice := &discoveryv1.EndpointSlice{}
	err := strict(value, slice)
	keepAddresses(slice)
	return slice, err
}

// keepAddresses keeps of a slice what proofs read: a cluster has as many endpoints as pods.
func keepAddresses(slice *discoveryv1.EndpointSlice) {
	slice.Ports, slice.Annotations, slice.OwnerReferences = nil, nil, nil
	for i := range slice.Endpoints {
		slice.Endpoints[i] = discoveryv1.Endpoint{Addresses: slice.Endpoints[i].Addresses}
	}
}

func endpointsOf(slice *discoveryv1.EndpointSlice) *snapshot.Endpoints {
	e := &snapshot.Endpoints{Kind: "EndpointSlice", Namespace: slice.Namespace, Name: slice.Name, Service: slice.Labels[discoveryv1.LabelServiceName]}
	var addresses []string
	for i := range slice.Endpoints {
		addresses = append(addresses, slice.Endpoints[i].Addresses...)
	}
	setAddresses(e, addresses)
	return e
}

// oldEndpoints are Endpoints as Kubernetes still has them; its own type is deprecated.
type oldEndpoints struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Subsets []struct {
		Addresses         []oldAddress          `json:"addresses"`
		NotReadyAddresses []oldAddress          `json:"notReadyAddresses"`
		Ports             []corev1.EndpointPort `json:"ports"`
	} `json:"subsets"`
}

type oldAddress struct {
	IP        string                  `json:"ip"`
	Hostname  string                  `json:"hostname"`
	NodeName  string                  `json:"nodeName"`
	TargetRef *corev1.ObjectReference `json:"targetRef"`
}

func (o *oldEndpoints) endpoints() *snapshot.Endpoints {
	e := &snapshot.Endpoints{Kind: "Endpoints", Namespace: o.Namespace, Name: o.Name, Service: o.Name}
	var addresses []string
	for i := range o.Subsets {
		for _, a := range append(o.Subsets[i].Addresses, o.Subsets[i].NotReadyAddresses...) {
			addresses = append(addresses, a.IP)
		}
	}
	setAddresses(e, addresses)
	return e
}

// setAddresses takes what is no IP address for a name.
func setAddresses(e *snapshot.Endpoints, addresses []string) {
	for _, text := range addresses {
		if ip, err := netip.ParseAddr(text); err == nil {
			e.IPs = append(e.IPs, ip.Unmap().WithZone(""))
		} else {
			e.Hosts = append(e.Hosts, text)
		}
	}
	slices.SortFunc(e.IPs, netip.Addr.Compare)
	slices.Sort(e.Hosts)
	e.IPs, e.Hosts = slices.Compact(e.IPs), slices.Compact(e.Hosts)
}
