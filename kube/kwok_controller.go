package main

import (
	"context"
	"fmt"
	"net"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodeheartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	kwokclient "sigs.k8s.io/kwok/pkg/utils/client"
)

const (
	// simulatedNodes selects the nodes to simulate, by annotation.
	simulatedNodes = "kwok.x-k8s.io/node=fake"
	// leaseHolder is the same for every start: a random one would wait for its
	// predecessor's leases to expire before it did anything.
	leaseHolder = "kwok"
	// workers is how many nodes or pods change state at the same time.
	workers = 4
)

// clients are the views of one API server that KWOK asks for.
type clients struct {
	kwok    kwokclient.Clientset
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	rest    rest.Interface
	mapper  meta.RESTMapper
}

func newClients(kubeconfig string) (clients, error) {
	c := clients{}
	var err error
	if c.kwok, err = kwokclient.NewClientset("", kubeconfig); err != nil {
		return c, err
	}
	restConfig, err := c.kwok.ToRESTConfig()
	if err != nil {
		return c, err
	}
	if c.dynamic, err = c.kwok.ToDynamicClient(); err != nil {
		return c, err
	}
	if c.mapper, err = c.kwok.ToRESTMapper(); err != nil {
		return c, err
	}
	if c.rest, err = rest.RESTClientFor(restConfig); err != nil {
		return c, err
	}
	c.typed, err = kubernetes.NewForConfig(restConfig)
	return c, err
}

func controllerConfig(opts kwokOptions, c clients) (controllers.Config, error) {
	host, port, err := opts.endpoint()
	if err != nil {
		return controllers.Config{}, err
	}
	stages, err := stages()
	if err != nil {
		return controllers.Config{}, err
	}
	return controllers.Config{
		Clock:                             clock.RealClock{},
		DynamicClient:                     c.dynamic,
		RESTClient:                        c.rest,
		RESTMapper:                        c.mapper,
		ImpersonatingDynamicClient:        c.kwok.ToImpersonatingDynamicClient(),
		ImpersonatingTypedClient:          c.kwok.ToImpersonatingTypedClient(),
		TypedClient:                       c.typed,
		ManageNodesWithAnnotationSelector: simulatedNodes,
		NodeIP:                            host,
		// KWOK's node stage wipes all addresses of a node that has only one of the
		// two kinds, so every node gets the host's name as well, as a Hostname.
		NodeName:                  host,
		NodePort:                  port,
		LocalStages:               stages,
		PodPlayStageParallelism:   workers,
		NodePlayStageParallelism:  workers,
		NodeLeaseParallelism:      workers,
		PodsOnNodeSyncParallelism: 1,
		NodeLeaseDurationSeconds:  opts.leaseSeconds,
		ID:                        leaseHolder,
	}, nil
}

// unusedPodCIDR is the range for the addresses of new pods: KWOK starts to count
// at its beginning, unaware of the pods that a predecessor gave addresses to.
// The ranges keep clear of the default service range, 10.0.0.0/24.
func unusedPodCIDR(ctx context.Context, client kubernetes.Interface) string {
	const first, last = 128, 255
	used := map[byte]bool{}
	// Without the list, addresses may repeat, which is no reason not to simulate.
	if pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{ResourceVersion: "0"}); err == nil {
		for _, pod := range pods.Items {
			if ip := net.ParseIP(pod.Status.PodIP).To4(); ip != nil && ip[0] == 10 {
				used[ip[1]] = true
			}
		}
	}
	second := first
	for second < last && used[byte(second)] {
		second++
	}
	return fmt.Sprintf("10.%d.0.0/16", second)
}

// stages are KWOK's own life cycles: nodes become ready at once and stay so,
// pods run at once, pods of jobs complete, deleted pods go away.
func stages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	byResource := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, text := range []string{
		nodefast.DefaultNodeInit,
		nodeheartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady,
		podfast.DefaultPodComplete,
		podfast.DefaultPodDelete,
	} {
		stage, err := config.UnmarshalWithType[*internalversion.Stage](text)
		if err != nil {
			return nil, fmt.Errorf("built-in stage: %w", err)
		}
		ref := stage.Spec.ResourceRef
		byResource[ref] = append(byResource[ref], stage)
	}
	return byResource, nil
}
