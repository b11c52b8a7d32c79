package kubeadmission

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// annotationDefaultClass marks the StorageClass of claims that name none.
const annotationDefaultClass = "storageclass.kubernetes.io/is-default-class"

// tokenPath is where pods expect their credentials.
const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

func (r *request) creates(resource string) bool {
	return r.Operation == "CREATE" && r.Resource.Group == "" && r.Resource.Resource == resource && r.Subresource == ""
}

// pluginReads is all of the namespace that the plugins before the policies read.
func (e *Evaluator) pluginReads(r *request) string {
	switch {
	case r.creates("pods"):
		account := accountOf(r)
		return r.space.shape + "\x00" + account + "\x00" + describeAccount(e.serviceAccount(r, account)) + "\x00"
	case r.creates("persistentvolumeclaims"):
		return r.space.shape + "\x00"
	}
	return ""
}

// classesOf are all of a snapshot that the plugins read beyond the namespace.
func classesOf(s *snapshot.Snapshot) digest {
	var b strings.Builder
	for _, c := range s.PriorityClasses {
		b.WriteString(c.String())
	}
	for _, c := range s.RuntimeClasses {
		b.WriteString(c.String())
	}
	for _, c := range s.StorageClasses {
		b.WriteString(c.String())
	}
	return sha256.Sum256([]byte(b.String()))
}

func accountOf(r *request) string {
	name := "default"
	switch o := r.Object.(type) {
	case *corev1.Pod:
		if o.Spec.ServiceAccountName != "" {
			name = o.Spec.ServiceAccountName
		}
	case *unstructured.Unstructured:
		if given, _, err := unstructured.NestedString(o.Object, "spec", "serviceAccountName"); err == nil && given != "" {
			name = given
		}
	}
	return name
}

func describeAccount(a *corev1.ServiceAccount) string {
	return fmt.Sprint(a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken, a.ImagePullSecrets)
}

// completeByPlugins changes a pod or claim as the plugins do that come before the policies.
func (e *Evaluator) completeByPlugins(r *request, made *stage) {
	switch {
	case r.creates("pods"):
		pod, is := made.object.typed.DeepCopyObject().(*corev1.Pod)
		if !is {
			return
		}
		if why := e.completePod(r, pod); why.Message != "" {
			made.refused = append(made.refused, why)
		}
		e.replace(r, made, pod)
	case r.creates("persistentvolumeclaims"):
		claim, is := made.object.typed.DeepCopyObject().(*corev1.PersistentVolumeClaim)
		if !is {
			return
		}
		if claim.Spec.StorageClassName == nil {
			claim.Spec.StorageClassName = e.defaultStorageClass()
		}
		if finalizer := "kubernetes.io/pvc-protection"; !slices.Contains(claim.Finalizers, finalizer) {
			claim.Finalizers = append(claim.Finalizers, finalizer)
		}
		e.replace(r, made, claim)
	}
}

func (e *Evaluator) replace(r *request, made *stage, typed interface {
	metav1.Object
	GetObjectKind() schema.ObjectKind
},
) {
	switch o := typed.(type) {
	case *corev1.Pod:
		if c, err := newContent(o, r); err == nil {
			made.object = c
		}
	case *corev1.PersistentVolumeClaim:
		if c, err := newContent(o, r); err == nil {
			made.object = c
		}
	}
}

// completePod is LimitRanger, ServiceAccount, Priority, DefaultTolerationSeconds and RuntimeClass, in this order.
func (e *Evaluator) completePod(r *request, pod *corev1.Pod) finding.Refusal {
	for _, l := range r.space.limits {
		defaultResources(pod, l)
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "default", "default"
	}
	mountToken(pod, e.serviceAccount(r, pod.Spec.ServiceAccountName))
	refusal := e.prioritise(pod)
	tolerateForAWhile(pod)
	if no := e.applyRuntimeClass(pod); no.Message != "" {
		refusal = no
	}
	return refusal
}

// serviceAccount of a namespace. One that was not listed is as it would be created, by the controller or the tenant.
func (e *Evaluator) serviceAccount(r *request, name string) *corev1.ServiceAccount {
	if a, found := r.space.accounts[name]; found {
		return a
	}
	return remember(&r.space.created, name, func() *corev1.ServiceAccount { return e.createdAccount(r, name) })
}

// createdAccount is the service account as admission would let it be created.
func (e *Evaluator) createdAccount(r *request, name string) *corev1.ServiceAccount {
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	q := &request{AdmissionRequest: &finding.AdmissionRequest{
		Subject:   finding.Subject{User: "system:serviceaccount:kube-system:service-account-controller", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}},
		Operation: "CREATE", Kind: corev1.SchemeGroupVersion.WithKind(rbacv1.ServiceAccountKind),
		Resource: corev1.SchemeGroupVersion.WithResource("serviceaccounts"), Namespace: r.Namespace, Name: name, Object: made,
	}, space: r.space}
	q.target = targetOf(q.AdmissionRequest)
	result, _ := e.mutate(q)
	if account, is := result.object.typed.(*corev1.ServiceAccount); is {
		return account
	}
	return made
}

// mountToken adds the service account's token where neither the pod nor the account forbid it, and its pull secrets.
func mountToken(pod *corev1.Pod, account *corev1.ServiceAccount) {
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	mount := true
	if account.AutomountServiceAccountToken != nil {
		mount = *account.AutomountServiceAccountToken
	}
	if pod.Spec.AutomountServiceAccountToken != nil {
		mount = *pod.Spec.AutomountServiceAccountToken
	}
	if !mount {
		return
	}
	const name = "kube-api-access-00000"
	needed := false
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			c := &containers[i]
			if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenPath }) {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenPath})
				needed = true
			}
		}
	}
	if needed && !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, "kube-api-access-") }) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, tokenVolume(name))
	}
}

func tokenVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: new(int32(0o644)),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(3607))}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
		},
	}}}
}

// prioritise resolves the pod's PriorityClass, or gives it the default one.
func (e *Evaluator) prioritise(pod *corev1.Pod) finding.Refusal {
	name := pod.Spec.PriorityClassName
	if name == "system-cluster-critical" || name == "system-node-critical" {
		return finding.Refusal{} // always there
	}
	for _, c := range e.snapshot.PriorityClasses {
		if c.Name == name || name == "" && c.GlobalDefault {
			pod.Spec.PriorityClassName, pod.Spec.Priority = c.Name, &c.Value
			pod.Spec.PreemptionPolicy = c.PreemptionPolicy
			return finding.Refusal{}
		}
	}
	if name == "" {
		pod.Spec.Priority, pod.Spec.PreemptionPolicy = new(int32(0)), new(corev1.PreemptLowerPriority)
		return finding.Refusal{}
	}
	return finding.Refusal{By: snapshot.Ref{Kind: "PriorityClass", Name: name}, Message: "no PriorityClass with name " + name + " was found"}
}

// tolerateForAWhile adds what every pod tolerates of its node, unless it says something itself.
func tolerateForAWhile(pod *corev1.Pod) {
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		if !slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
			return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		}) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
				Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(300)),
			})
		}
	}
}

// applyRuntimeClass adds where pods of a runtime class are placed.
func (e *Evaluator) applyRuntimeClass(pod *corev1.Pod) finding.Refusal {
	if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName == "" {
		return finding.Refusal{}
	}
	for _, c := range e.snapshot.RuntimeClasses {
		if c.Name != *pod.Spec.RuntimeClassName {
			continue
		}
		if c.Scheduling == nil {
			return finding.Refusal{}
		}
		for key, value := range c.Scheduling.NodeSelector {
			if pod.Spec.NodeSelector == nil {
				pod.Spec.NodeSelector = map[string]string{}
			}
			pod.Spec.NodeSelector[key] = value
		}
		for _, t := range c.Scheduling.Tolerations {
			if !slices.Contains(pod.Spec.Tolerations, t) {
				pod.Spec.Tolerations = append(pod.Spec.Tolerations, t)
			}
		}
		return finding.Refusal{}
	}
	name := *pod.Spec.RuntimeClassName
	return finding.Refusal{By: snapshot.Ref{Kind: "RuntimeClass", Name: name}, Message: "pod rejected: RuntimeClass " + name + " not found"}
}

// defaultStorageClass is the newest of the default classes.
func (e *Evaluator) defaultStorageClass() *string {
	var best *storagev1.StorageClass
	for _, c := range e.snapshot.StorageClasses {
		if c.Annotations[annotationDefaultClass] == "true" && (best == nil || c.CreationTimestamp.After(best.CreationTimestamp.Time)) {
			best = c
		}
	}
	if best == nil {
		return nil
	}
	return &best.Name
}
