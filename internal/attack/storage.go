package attack

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// storageAttacks reach for volumes that are not the tenant's own.
func storageAttacks() []Attack {
	const control = "storage"
	claims := byPolicy("claims")
	some := func(s Scene) bool { return inForce(control)(s) && len(s.Platform.Spec.StorageClasses) > 0 }
	refused := func(id, title string, change func(*corev1.PersistentVolumeClaim)) Attack {
		a := ownObject(id, control, title, createClaim("claim a new volume of an allowed class", func(*corev1.PersistentVolumeClaim) {}),
			createClaim("make a claim that "+title, change), claims)
		a.Applies = some
		return a
	}
	anyClass := ownObject("any-class", control, "claims a volume, though the platform allows no class", compliantPod,
		createClaim("make a claim, though no class is allowed", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = new(nothing) }), claims)
	anyClass.Applies = func(s Scene) bool { return inForce(control)(s) && len(s.Platform.Spec.StorageClasses) == 0 }
	return []Attack{
		anyClass,
		refused("foreign-class", "names a class that is not allowed", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = new(nothing) }),
		refused("no-class", "takes whatever volume lies about", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = new("") }),
		refused("old-annotation", "names a class that is not allowed, by the old annotation", func(c *corev1.PersistentVolumeClaim) {
			c.Annotations = map[string]string{corev1.BetaStorageClassAnnotation: nothing}
		}),
		refused("existing-volume", "picks a volume that may hold data of others", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = nothing }),
		refused("volume-selector", "picks by labels a volume that may hold data of others", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"data": "theirs"}}
		}),
		{ID: control + "/reclaim", Control: control, Title: "may claim volumes that outlive their claim, for the next one to find", By: Owners, EachSpace: true,
			Applies: some, PositiveControl: createClaim("claim a new volume of an allowed class", func(*corev1.PersistentVolumeClaim) {}),
			Attempt: Step{Title: "claim a volume of an allowed class that is kept when its claim is deleted", Ask: retained},
			Refusal: Refusal{By: Mended}},
	}
}

// retained makes a claim of each allowed class, of which the StorageClass must say that its volumes go with their claims.
func retained(s Scene) (Ask, error) {
	if s.Seen == nil || s.Seen.Reclaim == nil {
		return Ask{}, errors.New("the StorageClasses are not known: the attack's runner may not list them")
	}
	var asks []Ask
	for _, class := range s.Platform.Spec.StorageClasses {
		policy, exists := s.Seen.Reclaim[class]
		ask, err := createClaim("claim", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &class }).Ask(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(Reply) Answer {
			switch {
			case !exists:
				return Answer{Refusal: Refusal{By: Mended, Says: fmt.Sprintf("no volume is ever made: there is no StorageClass %s", class)}}
			case policy == string(corev1.PersistentVolumeReclaimDelete):
				return Answer{Refusal: Refusal{By: Mended, Says: fmt.Sprintf("StorageClass %s deletes volumes with their claims", class)}}
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
