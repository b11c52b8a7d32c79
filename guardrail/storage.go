package guardrail

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// storageControl gives claims new volumes of the Platform's classes only.
var storageControl = Control{
	ID: "storage", Title: "Only the tenant's own volumes",
	Threat: "claiming another tenant's released volume, or a class with dangerous parameters",
	How: "An admission policy allows claims of the Platform's storageClasses only and refuses claims that name a " +
		"volume. A claim of no class gets the first of them: another policy sets it. Volumes themselves are cluster-scoped, so owners " +
		"have no rights to them.",
	Needs: "storage classes with reclaim policy Delete",
	Fix: "Developer: name an allowed storageClassName, or none where the cluster's default class is allowed, and leave volumeName out. Platform: add the class to the " +
		"Platform's storageClasses.",
	Waivable: true,
	Mappings: []string{"K04"},
	cases: []string{
		"any-class", "foreign-class", "attributes-class", "populator", "foreign-source", "no-class", "old-annotation", "existing-volume", "volume-selector", "csi-volume*",
		"reclaim",
	},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{classOfClaims},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{claims(s), volumes()}
	},
}

// claims (control storage): a claim gets a new volume of an allowed class. A claim that names no class gets the
// cluster's default from the API server before policies see it, so the default counts like any other. A claim of no class would
// bind to whatever volume lies about: classOfClaims gives it one.
func claims(s *v1alpha1.PlatformSpec) validation {
	const legacy = "'volume.beta.kubernetes.io/storage-class'"
	return validation{
		name:  "claims",
		about: "Claims name an allowed StorageClass and get a new volume from it.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"persistentvolumeclaims"}, onCreate, onUpdate),
			},
			namespaces: inSpaces(), conditions: specChanged(),
		},
		variables: []admissionv1.Variable{
			waived("storage"),
			// The old annotation goes before the field.
			let("class", "object.metadata.?annotations[?"+legacy+"].orValue(object.spec.?storageClassName.orValue(''))"),
			let("volume", "object.spec.?volumeName.orValue('')"),
			let("source", "object.spec.?dataSourceRef.?namespace.orValue('')"),
			let("sources", "[object.spec.?dataSource, object.spec.?dataSourceRef].map(s, s.?apiGroup.orValue('') + '/' + s.?kind.orValue(''))"),
			let("attributes", "object.spec.?volumeAttributesClassName.orValue('')"),
		},
		checks: []check{{
			expression: "request.operation == 'UPDATE' || variables.class in " + celList(s.StorageClasses) + " || variables.waived",
			message: `'storageClassName "' + variables.class + '" is not allowed; ' + ` +
				celString(oneOf("storageClasses", s.StorageClasses)),
			fallback: "storageClassName is not allowed; " + oneOf("storageClasses", s.StorageClasses),
			reason:   metav1.StatusReasonForbidden,
		}, {
			// The controller that binds may write volumes, which are cluster-wide: no tenant may.
			expression: `variables.volume == '' || variables.waived ||
 (oldObject != null && variables.volume == oldObject.spec.?volumeName.orValue('')) ||
 authorizer.group('').resource('persistentvolumes').check('update').allowed()`,
			message:  `'volumeName "' + variables.volume + '" picks a volume that may hold data of others; leave it out'`,
			fallback: "volumeName picks a volume that may hold data of others; leave it out",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "request.operation == 'UPDATE' || !has(object.spec.selector) || variables.waived",
			message:    `'selector picks volumes that may hold data of others; leave it out'`,
			fallback:   "selector picks volumes that may hold data of others; leave it out",
			reason:     metav1.StatusReasonForbidden,
		}, {
			expression: "variables.source in ['', request.namespace] || variables.waived",
			message:    `'dataSourceRef reads from namespace "' + variables.source + '"; name a source in this namespace'`,
			fallback:   "dataSourceRef reads from another namespace; name a source in this namespace",
			reason:     metav1.StatusReasonForbidden,
		},
			// A volume populator acts with rights of its own on whatever kind it is told.
			bound("request.operation == 'UPDATE' || variables.sources.all(s, s in ['/', '/PersistentVolumeClaim', 'snapshot.storage.k8s.io/VolumeSnapshot']) || variables.waived",
				"a data source is a PersistentVolumeClaim or a VolumeSnapshot of this namespace"),
			{
				expression: "variables.attributes in " + celList(append([]string{""}, s.VolumeAttributesClasses...)) +
					" || (oldObject != null && variables.attributes == oldObject.spec.?volumeAttributesClassName.orValue('')) || variables.waived",
				message: `'volumeAttributesClassName "' + variables.attributes + '" is not allowed; ' + ` +
					celString(leaveOut("volumeAttributesClasses", s.VolumeAttributesClasses)),
				fallback: "volumeAttributesClassName is not allowed; " + leaveOut("volumeAttributesClasses", s.VolumeAttributesClasses),
				reason:   metav1.StatusReasonForbidden,
			},
		},
	}
}

// classOfClaims gives a claim that has no class the first of the Platform's; applied again, it keeps what it has.
func classOfClaims(s *v1alpha1.PlatformSpec) mutation {
	first := "''"
	if len(s.StorageClasses) > 0 {
		first = celString(s.StorageClasses[0])
	}
	return mutation{
		name:  "claims",
		about: "Claims of no StorageClass get the first of the Platform's.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"persistentvolumeclaims"}, onCreate, onUpdate)},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{
				Name: "of-no-class", Expression: "object.spec.?storageClassName.orValue('') == '' && " +
					"!object.metadata.?annotations[?'volume.beta.kubernetes.io/storage-class'].hasValue() && " +
					"(oldObject == null || oldObject.spec.?storageClassName.orValue('') != '')",
			}},
		},
		variables: []admissionv1.Variable{
			let("class", "oldObject == null ? "+first+" : oldObject.spec.?storageClassName.orValue('')"),
		},
		patch: notWaived("storage") + ` && variables.class != '' ?
 [JSONPatch{op: 'add', path: '/spec/storageClassName', value: variables.class}] : []`,
	}
}

// volumes (control storage): what pods mount goes through claims. Pod Security refuses most other kinds; it lets
// in-line CSI volumes pass, and more where a waiver lowers it.
func volumes() validation {
	return validation{
		name:  "volumes",
		about: "Pods mount storage through claims.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(),
			conditions: podSpecWith("volumes", "has(POD.volumes)")},
		variables: podVariables(waived("storage"),
			let("others", `variables.pod.?volumes.orValue([]).filter(v, !(has(v.configMap) || has(v.downwardAPI) || has(v.emptyDir) ||
 has(v.ephemeral) || has(v.image) || has(v.persistentVolumeClaim) || has(v.projected) || has(v.secret)) &&
 !(v in variables.old.?volumes.orValue([])))`),
		),
		checks: []check{{
			expression: "size(variables.others) == 0 || variables.waived",
			message: `'volume "' + variables.others.map(v, v.name).join('", "') + '" goes past the StorageClasses; use a ` +
				`persistentVolumeClaim or an ephemeral volume'`,
			fallback: "a volume goes past the StorageClasses; use a persistentVolumeClaim or an ephemeral volume",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}
