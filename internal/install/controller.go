package install

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

const (
	// replicas of the controller: one leads, one takes over within the lease's duration.
	replicas = 2
	// priorityClass of the controller: a cluster full of tenants still fits it. Enforcement does not need it running,
	// but new Spaces, repair and proof do.
	priorityClass = "system-cluster-critical"
	// healthPort serves /healthz and /readyz.
	healthPort = 8081
	// nonRoot is the user and group that container images without a user database commonly call "nonroot".
	nonRoot = 65532
)

func renderController(options Options) []guardrail.Object {
	one := intstr.FromInt32(1)
	return []guardrail.Object{
		criticalPodsQuota(),
		&networkingv1.NetworkPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
			ObjectMeta: inSystem(),
			// No ingress: the controller serves the kubelet's probes only, and its metrics hold tenants' names. A
			// policy next to this one opens them to a collector.
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: podLabels()},
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			},
		},
		&policyv1.PodDisruptionBudget{
			TypeMeta:   metav1.TypeMeta{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget"},
			ObjectMeta: inSystem(),
			Spec: policyv1.PodDisruptionBudgetSpec{
				MinAvailable: &one,
				Selector:     &metav1.LabelSelector{MatchLabels: podLabels()},
			},
		},
		deployment(options),
	}
}

// criticalPodsQuota is what lets pods of a system priority run outside kube-system on clusters whose API server
// limits that priority by quota, as some managed ones do. Elsewhere it changes nothing.
func criticalPodsQuota() *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: inSystem(),
		Spec: corev1.ResourceQuotaSpec{
			Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")}, // two, twice during an update, and room
			ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{
				ScopeName: corev1.ResourceQuotaScopePriorityClass,
				Operator:  corev1.ScopeSelectorOpIn,
				Values:    []string{priorityClass},
			}}},
		},
	}
}

func deployment(options Options) *appsv1.Deployment {
	count, none := int32(replicas), intstr.FromInt32(0)
	one := intstr.FromInt32(1)
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment"},
		ObjectMeta: inSystem(),
		Spec: appsv1.DeploymentSpec{
			Replicas: &count,
			Selector: &metav1.LabelSelector{MatchLabels: podLabels()},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels()},
				Spec:       podSpec(options),
			},
		},
	}
}

func podSpec(options Options) corev1.PodSpec {
	yes, user := true, int64(nonRoot)
	return corev1.PodSpec{
		ServiceAccountName: v1alpha1.ManagedBy, // whom run.RBAC binds, and whom the admission policies know as Bulkhead
		PriorityClassName:  priorityClass,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   &yes,
			RunAsUser:      &user,
			RunAsGroup:     &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		// Two nodes rather than one, where there are two: a lost node then costs a lease, not a restart.
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
			MaxSkew:           1,
			TopologyKey:       corev1.LabelHostname,
			WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector:     &metav1.LabelSelector{MatchLabels: podLabels()},
		}},
		Containers: []corev1.Container{container(options)},
	}
}

func container(options Options) corev1.Container {
	yes, no := true, false
	return corev1.Container{
		Name:  "controller",
		Image: options.Image,
		Args:  []string{"run", "--leader-elect"},
		Ports: []corev1.ContainerPort{{Name: "health", ContainerPort: healthPort, Protocol: corev1.ProtocolTCP}},
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot:             &yes,
			ReadOnlyRootFilesystem:   &yes,
			AllowPrivilegeEscalation: &no,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		// A memory limit, as a leak must end in a restart and not in a full node; no CPU limit, as throttling a
		// controller only delays repair.
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
		},
		LivenessProbe:  probe("/healthz", 6),
		ReadinessProbe: probe("/readyz", 3),
	}
}

// probe asks every 10 s, and gives up after so many failures in a row.
func probe(path string, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromString("health"), Scheme: corev1.URISchemeHTTP,
		}},
		InitialDelaySeconds: 5,
		PeriodSeconds:       10,
		TimeoutSeconds:      5,
		FailureThreshold:    failures,
	}
}

// podLabels select the controller's pods. They lack the managed-by label on purpose: the guardrail policy keeps
// all writers off what carries it, and kubelets must write these pods' status.
func podLabels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "bulkhead", "app.kubernetes.io/component": "controller"}
}
