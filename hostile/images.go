package hostile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// foreignImage comes from no registry that any list allows.
const foreignImage = "registry.invalid/foreign:1"

// imagePods run what comes from a registry that is not allowed.
func imagePods() []PodCase {
	const says = "comes from no allowed registry"
	image := func(id, title string, variant bool, change podChange) PodCase {
		return PodCase{ID: id, Control: "images", Title: title, Change: change, variant: variant, Refusal: byPolicy("images", says)}
	}
	// named is an image whose name is made from the first allowed registry.
	named := func(name func(registry string) string) podChange {
		return func(s Scene, pod *corev1.Pod) error {
			if len(s.Platform.Spec.Registries) == 0 {
				return errors.New("the allowed registries are not known")
			}
			pod.Spec.Containers[0].Image = name(strings.TrimRight(s.Platform.Spec.Registries[0], "/"))
			return nil
		}
	}
	sibling := image("registry-sibling", "runs an image from a path whose name begins like an allowed one", true, func(s Scene, pod *corev1.Pod) error {
		pod.Spec.Containers[0].Image = strings.TrimRight(s.Platform.Spec.Registries[registryWithPath(s)], "/") + "-too/image"
		return nil
	})
	sibling.Applies = func(s Scene) bool { return InForce("images")(s) && registryWithPath(s) >= 0 }
	// hub is an image whose name holds no registry, where Docker Hub's of that name is not allowed.
	hub := func(id, title, name, full string) PodCase {
		c := image(id, title, true, specChange(func(s *corev1.PodSpec) { s.Containers[0].Image = name }))
		c.Applies = func(s Scene) bool { return InForce("images")(s) && !listed(s, full) }
		return c
	}
	alone := image("registry-alone", "runs an image that is named like an allowed registry", true, named(func(registry string) string { return registry }))
	alone.Applies = func(s Scene) bool {
		return InForce("images")(s) && (len(s.Platform.Spec.Registries) == 0 || !listed(s, hubLibrary+s.Platform.Spec.Registries[0]))
	}
	return []PodCase{
		alone,
		hub("public-registry", "runs an image that names no registry, and so comes from the public one", "nginx", hubLibrary+"nginx"),
		hub("public-account", "runs an image of an account of the public registry", v1alpha1.AttackName+"/image", "docker.io/"+v1alpha1.AttackName+"/image"),
		image("local-registry", "runs an image of a registry on the node itself", true, specChange(func(s *corev1.PodSpec) { s.Containers[0].Image = "localhost/image" })),
		image("port-alone", "runs an image of a registry that has a port and no dot", true, specChange(func(s *corev1.PodSpec) { s.Containers[0].Image = "library:5000/image" })),
		image("digest-alone", "runs an image of others that lies on the node, by its digest", true,
			specChange(func(s *corev1.PodSpec) { s.Containers[0].Image = "sha256:" + strings.Repeat("a", 64) })),
		image("foreign-registry", "runs an image from a registry that is not allowed", false,
			specChange(func(s *corev1.PodSpec) { s.Containers[0].Image = foreignImage })),
		image("init-foreign-registry", "runs an init container from a registry that is not allowed", false,
			func(_ Scene, pod *corev1.Pod) error { addInit(pod).Image = foreignImage; return nil }),
		image("image-volume", "mounts an image from a registry that is not allowed", false, specChange(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "in", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: foreignImage}}}}
		})),
		image("registry-prefix", "runs an image from a registry whose name begins like an allowed one", false,
			named(func(registry string) string { return registry + ".invalid/image" })),
		image("registry-port", "runs an image from another port of an allowed registry", true, named(func(registry string) string { return registry + ":5000/image" })),
		image("second-container", "runs a second container from a registry that is not allowed", true, specChange(func(s *corev1.PodSpec) {
			second := s.Containers[0].DeepCopy()
			second.Name, second.Image = "second", foreignImage
			s.Containers = append(s.Containers, *second)
		})),
		sibling,
	}
}

// hubLibrary are the official images of Docker Hub, of which an image is whose name holds no registry and no account.
const hubLibrary = "docker.io/library/"

// listed reports whether an image is of an allowed registry.
func listed(s Scene, image string) bool {
	return slices.ContainsFunc(s.Platform.Spec.Registries, func(r string) bool { return strings.HasPrefix(image, strings.TrimRight(r, "/")+"/") })
}

// registryWithPath is the index of an allowed registry that is narrowed to a path; -1 when there is none.
func registryWithPath(s Scene) int {
	return slices.IndexFunc(s.Platform.Spec.Registries, func(r string) bool { return strings.Contains(strings.TrimRight(r, "/"), "/") })
}

// imageCases run images past the list of registries, or from a node's disk.
func imageCases() []Case {
	refusal := byPolicy("images", "comes from no allowed registry")
	cases := []Case{
		changedPod("foreign-registry", "images", "turns a running pod's image into one from a registry that is not allowed",
			specChange(func(s *corev1.PodSpec) { s.Containers[0].Image = foreignImage }), refusal),
		ephemeralCase("foreign-registry", "images", "adds an ephemeral container from a registry that is not allowed",
			func(c *corev1.Container) { c.Image = foreignImage }, refusal),
	}
	for _, pull := range []corev1.PullPolicy{corev1.PullIfNotPresent, corev1.PullNever} {
		c := byPod("pull-"+strings.ToLower(string(pull)), "images", "runs an image of others from a node's disk (imagePullPolicy "+string(pull)+")", unchanged, Refusal{By: mutation})
		c.Attempt = completedPod("create a pod with imagePullPolicy "+string(pull), func(_ Scene, pod *corev1.Pod) error {
			addInit(pod).ImagePullPolicy = pull
			pod.Spec.Containers[0].ImagePullPolicy = pull
			return nil
		}, alwaysPulled)
		cases = append(cases, c)
	}
	volume := byPod("image-volume-pull", "images", "mounts an image of others from a node's disk (pullPolicy IfNotPresent)", unchanged, Refusal{By: mutation})
	volume.Attempt = completedPod("create a pod that mounts an image with pullPolicy IfNotPresent", specChange(func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "in", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{
			Reference: s.Containers[0].Image, PullPolicy: corev1.PullIfNotPresent}}}}
	}), volumesAlwaysPulled)
	debugger := ephemeralCase("pull-never", "images", "debugs with an image of others from a node's disk", func(*corev1.Container) {}, Refusal{By: mutation})
	debugger.Attempt = judgedPod(addEphemeral("add an ephemeral container with imagePullPolicy Never to a pod",
		func(c *corev1.Container) { c.ImagePullPolicy = corev1.PullNever }), debuggersAlwaysPulled)
	return append(cases, volume, debugger)
}

// debuggersAlwaysPulled is of a pod with ephemeral containers, of which admission must have set that each is pulled always.
func debuggersAlwaysPulled(pod *corev1.Pod) string {
	if slices.ContainsFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.ImagePullPolicy != corev1.PullAlways }) {
		return ""
	}
	return "imagePullPolicy was set to Always"
}

func volumesAlwaysPulled(pod *corev1.Pod) string {
	if slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Image != nil && v.Image.PullPolicy != corev1.PullAlways }) {
		return ""
	}
	return "pullPolicy was set to Always"
}

func alwaysPulled(pod *corev1.Pod) string {
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for i := range all {
		if all[i].ImagePullPolicy != corev1.PullAlways {
			return ""
		}
	}
	return fmt.Sprintf("imagePullPolicy was set to Always on %d containers", len(all))
}
