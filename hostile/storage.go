package hostile

import (
	corev1 "k8s.io/api/core/v1"

	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volumePods mount what no claim and no StorageClass governs.
func volumePods() []PodCase {
	return []PodCase{{ID: "csi-volume", Control: "storage", Title: "mounts a volume of a driver, past every claim",
		Refusal: byPolicy("volumes", "goes past the StorageClasses"), Change: specChange(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "in", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "driver.invalid"}}}}
		})}}
}

// storageCases reach for volumes that are not the tenant's own.
func storageCases() []Case {
	const control = "storage"
	refused := func(id, title, says string, change func(*corev1.PersistentVolumeClaim)) Case {
		c := ownObject(id, control, title, harmlessClaim, createClaim("make a claim that "+title, change), byPolicy("claims", says))
		c.Applies = claimsStorage
		return c
	}
	class := func(name string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &name }
	}
	anyClass := ownObject("any-class", control, "claims a volume, though the platform allows no class", compliantPod,
		createClaim("make a claim, though no class is allowed", class(nothing)), byPolicy("claims", "storageClassName"))
	anyClass.Applies = func(s Scene) bool { return InForce(control)(s) && len(s.Platform.Spec.StorageClasses) == 0 }
	reclaim := ownObject("reclaim", control, "may claim volumes that outlive their claim, for the next one to find", harmlessClaim,
		Step{Title: "claim a volume of an allowed class that is kept when its claim is deleted", Ask: retained}, Refusal{By: mutation})
	reclaim.Applies = claimsStorage
	source := ownObject("foreign-source", control, "copies a volume out of another namespace", harmlessClaim, fromElsewhere, byPolicy("claims", "dataSourceRef reads from namespace"))
	source.Applies, source.Or = claimsStorage, Refusal{By: mutation}
	return []Case{
		anyClass, reclaim, source,
		refused("foreign-class", "names a class that is not allowed", `storageClassName "`+nothing+`"`, class(nothing)),
		refused("attributes-class", "takes disk speed that others pay for", `volumeAttributesClassName "`, func(c *corev1.PersistentVolumeClaim) {
			c.Spec.VolumeAttributesClassName = new(nothing)
		}),
		refused("populator", "has a controller fill a volume with rights of its own", "a data source is", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: new(elsewhere), Kind: "Source", Name: nothing}
		}),
		unclassed(),
		refused("old-annotation", "names a class that is not allowed, by the old annotation", `storageClassName "`+nothing+`"`, func(c *corev1.PersistentVolumeClaim) {
			c.Annotations = map[string]string{corev1.BetaStorageClassAnnotation: nothing}
		}),
		refused("existing-volume", "picks a volume that may hold data of others", "volumeName", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = nothing }),
		refused("volume-selector", "picks by labels a volume that may hold data of others", "selector", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"data": "theirs"}}
		}),
	}
}

// unclassed claims a volume of no class, which is whatever volume lies about, and then must get one of a class.
func unclassed() Case {
	step := createClaim("make a claim that takes any volume that is free", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = new("") })
	c := ownObject("no-class", "storage", "takes any volume that is free", harmlessClaim, Step{Title: step.Title, Ask: func(s Scene) (Ask, error) {
		ask, err := step.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(r Reply) Answer {
			var claim corev1.PersistentVolumeClaim
			if err := decode(r.Object, &claim); err != nil {
				return Unclear("%v", err)
			}
			if class := claim.Spec.StorageClassName; class != nil && slices.Contains(s.Platform.Spec.StorageClasses, *class) {
				return Answer{Refusal: Refusal{By: mutation, Says: "storageClassName was set to " + *class}}
			}
			return Answer{Allowed: true}
		}
		return ask, nil
	}}, Refusal{By: mutation})
	c.Applies, c.Or = claimsStorage, byPolicy("claims", `storageClassName ""`)
	return c
}

// claimsStorage reports whether claims are made in the scene at all.
func claimsStorage(s Scene) bool {
	storage, named := s.Space.Status.Quota[corev1.ResourceRequestsStorage]
	return InForce("storage")(s) && len(s.Platform.Spec.StorageClasses) > 0 && (!named || storage.Sign() > 0)
}

// fromElsewhere copies another namespace's claim. An API server without the feature drops what it does not know.
var fromElsewhere = Step{Title: "make a claim that copies one of another namespace", Ask: func(s Scene) (Ask, error) {
	ask, err := createClaim("", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: nothing, Namespace: new(metav1.NamespaceDefault)}
	}).Ask(s)
	if err != nil {
		return Ask{}, err
	}
	ask.DryRun.Judge = func(r Reply) Answer {
		var claim corev1.PersistentVolumeClaim
		if err := decode(r.Object, &claim); err != nil {
			return Unclear("%v", err)
		}
		if source := claim.Spec.DataSourceRef; source != nil && source.Namespace != nil {
			return Answer{Allowed: true}
		}
		return Answer{Refusal: Refusal{By: mutation, Says: "the API server dropped the namespace of the source"}}
	}
	return ask, nil
}}

// harmlessClaim is what owners make all day.
var harmlessClaim = createClaim("claim a new volume of an allowed class", func(*corev1.PersistentVolumeClaim) {})

// retained makes a claim of each allowed class, of which the StorageClass must say that its volumes go with their claims.
func retained(s Scene) (Ask, error) {
	if s.Facts == nil || s.Facts.Reclaim == nil {
		return Ask{}, errors.New("the StorageClasses are not known: the runner may not list them")
	}
	var asks []Ask
	for _, class := range s.Platform.Spec.StorageClasses {
		policy, exists := s.Facts.Reclaim[class]
		ask, err := createClaim("claim", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &class }).Ask(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(Reply) Answer {
			switch {
			case !exists:
				return Answer{Refusal: Refusal{By: mutation, Says: fmt.Sprintf("no volume is ever made: there is no StorageClass %s", class)}}
			case policy == string(corev1.PersistentVolumeReclaimDelete):
				return Answer{Refusal: Refusal{By: mutation, Says: fmt.Sprintf("StorageClass %s deletes volumes with their claims", class)}}
			}
			return Answer{Allowed: true, Note: fmt.Sprintf("StorageClass %s has reclaimPolicy %s", class, policy)}
		}
		asks = append(asks, ask)
	}
	return Ask{Every: asks}, nil
}

func createClaim(title string, change func(*corev1.PersistentVolumeClaim)) Step {
	return create(title, "", "persistentvolumeclaims", func(s Scene) any {
		claim := &corev1.PersistentVolumeClaim{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: marked(s)}
		claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}
		if classes := s.Platform.Spec.StorageClasses; len(classes) > 0 {
			claim.Spec.StorageClassName = &classes[0]
		}
		change(claim)
		return claim
	})
}
