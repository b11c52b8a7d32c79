package guardrail

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// imagesControl allows images of the Platform's registries only.
var imagesControl = Control{
	ID: "images", Title: "Images from allowed registries, pulled with the pod's own credentials",
	Threat: "foreign or swapped images, and private images of others from a node's cache",
	How: "An admission policy refuses images from outside the Platform's registries in every container, and pods' pull " +
		"policy is Always, so the registry is asked each time with the pod's own credentials. A name without a registry is judged as " +
		"runtimes read it: postgres:16 is docker.io/library/postgres:16.",
	Needs: "MutatingAdmissionPolicy v1; where docker.io is allowed, container runtimes that take names without a registry from there, " +
		"as containerd does (CRI-O: unqualified-search-registries of docker.io alone)",
	Fix: "Developer: push the image to an allowed registry; the refusal lists them. Platform: add the registry to the " +
		"Platform's registries; docker.io/library has the official images of Docker Hub, docker.io all.",
	Waivable: true,
	Mappings: []string{"K04", "MTB-PL1-CC-DI-1"},
	cases: []string{
		"foreign-registry*", "init-foreign-registry*", "ephemeral-foreign-registry", "image-volume*", "registry-prefix*",
		"registry-sibling", "registry-port", "registry-alone", "public-registry", "public-account", "local-registry", "port-alone", "digest-alone", "second-container", "pull-ifnotpresent",
		"pull-never", "ephemeral-pull-never",
	},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{pullAlways},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{images(s)}
	},
}

// images (control images): every container and every image volume comes from an allowed registry, and pods pull always,
// so that an image on a shared node's disk is never used without its registry agreeing.
func images(s *v1alpha1.PlatformSpec) validation {
	prefixes := registryPrefixes(s.Registries)
	listed := func(image string) string { return allowedImage(prefixes, image) }
	return validation{
		name:  "images",
		about: "Images of containers and image volumes come from the Platform's registries and are pulled always.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecChanged()},
		variables: containerVariables(waived("images"),
			let("registries", celList(prefixes)),
			let("oldNames", "variables.oldContainers.map(c, c.name)"),
			let("oldImages", "variables.oldContainers.map(c, c.name + ' ' + c.?image.orValue(''))"),
			let("foreign", `variables.containers.filter(c,
 !`+listed("c.?image.orValue('')")+` &&
 !(c.name + ' ' + c.?image.orValue('') in variables.oldImages))`),
			let("foreignVolumes", `variables.pod.?volumes.orValue([]).filter(v, has(v.image) &&
 !`+listed("v.image.?reference.orValue('')")+` &&
 !(v in variables.old.?volumes.orValue([])))`),
			let("stale", `object.kind != 'Pod' ? [] : variables.containers.filter(c,
 c.?imagePullPolicy.orValue('') != 'Always' && !(c.name in variables.oldNames))`),
			let("staleVolumes", `object.kind != 'Pod' ? [] : variables.pod.?volumes.orValue([]).filter(v, has(v.image) &&
 v.image.?pullPolicy.orValue('') != 'Always' && !(v in variables.old.?volumes.orValue([])))`),
		),
		checks: []check{{
			expression: "size(variables.foreign) == 0 || variables.waived",
			message: `variables.foreign.map(c, 'image "' + c.?image.orValue('') + '" of container "' + c.name + '"').join(', ') + ` +
				celString(" comes from no allowed registry; "+oneOf("registries", prefixes)),
			fallback: "an image comes from no allowed registry; " + oneOf("registries", prefixes),
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "size(variables.foreignVolumes) == 0 || variables.waived",
			message: `variables.foreignVolumes.map(v, 'image "' + v.image.?reference.orValue('') + '" of volume "' + v.name + '"').join(', ') + ` +
				celString(" comes from no allowed registry; "+oneOf("registries", prefixes)),
			fallback: "an image volume comes from no allowed registry; " + oneOf("registries", prefixes),
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "size(variables.stale) == 0 || variables.waived",
			message: `variables.stale.map(c, 'container "' + c.name + '"').join(', ') + ` +
				celString(" must have imagePullPolicy: Always; set it, or leave it out"),
			fallback: "every container must have imagePullPolicy: Always; set it, or leave it out",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "size(variables.staleVolumes) == 0 || variables.waived",
			message: `variables.staleVolumes.map(v, 'image volume "' + v.name + '"').join(', ') + ` +
				celString(" must have pullPolicy: Always; set it, or leave it out"),
			fallback: "every image volume must have pullPolicy: Always; set it, or leave it out",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// allowedImage is true of an image of a registry that is allowed. Where one is of docker.io, an image whose name holds no registry
// counts under its full name, as runtimes complete it (github.com/distribution/reference): postgres:16 is
// docker.io/library/postgres:16, and team/web is docker.io/team/web. The first part of a name is a registry where it has a dot or a
// port or is localhost. What is no such name stays as it is, and is not allowed: a digest alone names what lies on the node.
func allowedImage(prefixes []string, image string) string {
	const (
		word    = "[a-z0-9]+((_|__|-+)[a-z0-9]+)*"
		part    = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*"
		version = "(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha[0-9]+:[0-9a-f]+)?$"
	)
	listed := "variables.registries.exists(r, IMAGE.startsWith(r))"
	if hub := slices.DeleteFunc(slices.Clone(prefixes), func(r string) bool { return !strings.HasPrefix(r, dockerHub) }); len(hub) > 0 {
		listed = "(" + listed + ` || [IMAGE].map(i,
  i.matches('^` + part + version + `') && !i.matches('^([0-9a-f]{64}|sha[0-9]+)([:@]|$)') ? 'docker.io/library/' + i :
  i.matches('^` + word + "(/" + part + ")+" + version + `') && !i.startsWith('localhost/') ? 'docker.io/' + i :
  i.matches('^(index[.])?docker[.]io/[^/]+$') ? 'docker.io/library/' + i.substring(i.indexOf('/') + 1) :
  i.startsWith('index.docker.io/') ? i.substring(size('index.')) : '').exists(i, ` + celList(hub) + `.exists(r, i.startsWith(r))))`
	}
	return strings.ReplaceAll(listed, "IMAGE", image)
}

// dockerHub is the registry of images whose name holds none.
const dockerHub = "docker.io/"

// registryPrefixes ends every registry in exactly one slash: registry.example.com is no prefix of
// registry.example.com.evil.org/image. Docker Hub has one name of two.
func registryPrefixes(registries []string) []string {
	var prefixes []string
	for _, r := range registries {
		if r == "index.docker.io" || strings.HasPrefix(r, "index.docker.io/") {
			r = strings.TrimPrefix(r, "index.")
		}
		if r = strings.TrimRight(r, "/"); r != "" {
			prefixes = append(prefixes, r+"/")
		}
	}
	slices.Sort(prefixes)
	return slices.Compact(prefixes)
}

// pullAlways sets what images demands, on pods only: templates stay as people wrote them.
func pullAlways(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "images-pull",
		about: "Pods pull their images always.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"pods"}, onCreate), on("", []string{"pods/ephemeralcontainers"}, onUpdate),
			},
			namespaces: inSpaces(),
			// Also what a mutating webhook adds to a pod after this policy has seen it makes it look again.
			conditions: []admissionv1.MatchCondition{{
				Name: "something-to-set",
				Expression: strings.Join([]string{
					pullsOtherwise("containers", "imagePullPolicy"), pullsOtherwise("initContainers", "imagePullPolicy"),
					pullsOtherwise("ephemeralContainers", "imagePullPolicy"), pullsOtherwise("volumes", "image.pullPolicy"),
				}, " ||\n"),
			}},
		},
		variables: []admissionv1.Variable{
			let("pod", "dyn(object).spec"),
			// Debugging containers that are there already cannot change.
			let("known", "oldObject == null ? [] : dyn(oldObject).spec.?ephemeralContainers.orValue([]).map(c, c.name)"),
			let("paths", "request.operation == 'CREATE' ? "+strings.Join([]string{
				pullPaths("containers", "imagePullPolicy"), pullPaths("initContainers", "imagePullPolicy"),
				pullPaths("volumes", "image.pullPolicy"),
			}, " +\n ")+" :\n "+pullPaths("ephemeralContainers", "imagePullPolicy")),
		},
		patch: notWaived("images") + ` ?
 variables.paths.map(p, JSONPatch{op: 'add', path: p, value: 'Always'}) : []`,
	}
}

// pullsOtherwise is true when an element of a list of the pod does not pull always.
func pullsOtherwise(list, field string) string {
	return strings.NewReplacer("LIST", list, "WRONG", wrongPull(field)).Replace(
		"dyn(object).spec.?LIST.orValue([]).exists(e, WRONG)")
}

// pullPaths are JSON pointers to the pull policies that are to be set in a list of the pod.
func pullPaths(list, field string) string {
	return strings.NewReplacer("LIST", list, "WRONG", wrongPull(field), "FIELD", strings.ReplaceAll(field, ".", "/")).Replace(
		`variables.pod.?LIST.orValue([]).transformList(i, e,
 WRONG && !(e.name in variables.known), '/spec/LIST/' + string(i) + '/FIELD')`)
}

func wrongPull(field string) string {
	if parent, child, nested := strings.Cut(field, "."); nested {
		return "has(e." + parent + ") && e." + parent + ".?" + child + ".orValue('') != 'Always'"
	}
	return "e.?" + field + ".orValue('') != 'Always'"
}
