package kubevalidation

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the names of resources mean, as in Kubernetes' pkg/apis/core/helper.
var (
	containerResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	podResources       = []corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
	}
	claimResources = []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage}
	countResources = []corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
	}
	quotaResources = slices.Concat(podResources, claimResources, countResources, []corev1.ResourceName{
		corev1.ResourceEphemeralStorage, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsEphemeralStorage,
	})
	// scopeResources are what a quota of a scope may count; a scope that is not here does not exist.
	scopeResources = map[corev1.ResourceQuotaScope][]corev1.ResourceName{
		corev1.ResourceQuotaScopeTerminating: podResources, corev1.ResourceQuotaScopeNotTerminating: podResources,
		corev1.ResourceQuotaScopeNotBestEffort: podResources, corev1.ResourceQuotaScopePriorityClass: podResources,
		corev1.ResourceQuotaScopeCrossNamespacePodAffinity: podResources, corev1.ResourceQuotaScopeBestEffort: {corev1.ResourcePods},
		corev1.ResourceQuotaScopeVolumeAttributesClass: claimResources,
	}
)

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func isExtended(name corev1.ResourceName) bool {
	return !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

func isQuotaResource(name corev1.ResourceName) bool {
	return slices.Contains(quotaResources, name) || isHugePages(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

// resourceName checks a name that stands alone, or behind a domain.
func resourceName(name corev1.ResourceName, path *field.Path, standard func(corev1.ResourceName) bool) field.ErrorList {
	faults := invalid(path, name, validation.IsQualifiedName(string(name)))
	if len(faults) == 0 && !strings.Contains(string(name), "/") && !standard(name) {
		faults = append(faults, field.Invalid(path, name, "must be a standard resource type or fully qualified"))
	}
	return faults
}

// quota is ValidateResourceQuotaSpec of Kubernetes' pkg/apis/core/validation.
func quota(spec *corev1.ResourceQuotaSpec, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(spec.Hard)) {
		amount, at := spec.Hard[name], path.Child("hard").Key(string(name))
		faults = append(faults, resourceName(name, at, isQuotaResource)...)
		if amount.Sign() < 0 {
			faults = append(faults, field.Invalid(at, amount.String(), "must be greater than or equal to 0"))
		}
		if (slices.Contains(countResources, name) || isExtended(name)) && amount.MilliValue()%1000 != 0 {
			faults = append(faults, field.Invalid(at, amount.String(), "must be an integer"))
		}
	}
	faults = append(faults, scopes(spec.Scopes, spec.Hard, path.Child("scopes"))...)
	if spec.ScopeSelector == nil {
		return faults
	}
	at := path.Child("scopeSelector", "matchExpressions")
	var named []corev1.ResourceQuotaScope
	for i := range spec.ScopeSelector.MatchExpressions {
		e := &spec.ScopeSelector.MatchExpressions[i]
		named = append(named, e.ScopeName)
		if e.ScopeName != corev1.ResourceQuotaScopePriorityClass && e.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass &&
			scopeResources[e.ScopeName] != nil && e.Operator != corev1.ScopeSelectorOpExists {
			faults = append(faults, field.Invalid(at.Index(i).Child("operator"), e.Operator, "must be 'Exists' for scope "+string(e.ScopeName)))
		}
		faults = append(faults, oneOf(at.Index(i).Child("operator"), e.Operator, corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn,
			corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist)...)
		if in := e.Operator == corev1.ScopeSelectorOpIn || e.Operator == corev1.ScopeSelectorOpNotIn; in != (len(e.Values) > 0) {
			faults = append(faults, field.Invalid(at.Index(i).Child("values"), e.Values, "operators In and NotIn need values, and no other operator has them"))
		}
	}
	return append(faults, scopes(named, spec.Hard, at)...)
}

// scopes checks that scopes exist, apply to what is counted, and do not exclude each other.
func scopes(list []corev1.ResourceQuotaScope, hard corev1.ResourceList, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	for _, scope := range list {
		counts, exists := scopeResources[scope]
		if !exists {
			faults = append(faults, field.Invalid(path, scope, "unsupported scope"))
			continue
		}
		for name := range hard {
			if isQuotaResource(name) && !slices.Contains(counts, name) {
				faults = append(faults, field.Invalid(path, scope, "unsupported scope applied to resource "+string(name)))
			}
		}
	}
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(list, pair[0]) && slices.Contains(list, pair[1]) {
			faults = append(faults, field.Invalid(path, list, "conflicting scopes"))
		}
	}
	return faults
}

// limits is ValidateLimitRange of the same package.
func limits(list []corev1.LimitRangeItem, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	seen := map[corev1.LimitType]bool{}
	for i := range list {
		item, at := &list[i], path.Index(i)
		if seen[item.Type] {
			faults = append(faults, field.Duplicate(at.Child("type"), item.Type))
		}
		seen[item.Type] = true
		faults = append(faults, limitType(item, at)...)
		for _, amounts := range []struct {
			field string
			list  corev1.ResourceList
		}{{"max", item.Max}, {"min", item.Min}, {"default", item.Default}, {"defaultRequest", item.DefaultRequest}, {"maxLimitRequestRatio", item.MaxLimitRequestRatio}} {
			for name := range amounts.list {
				faults = append(faults, limitResource(item.Type, name, at.Child(amounts.field).Key(string(name)))...)
			}
		}
		faults = append(faults, inOrder(item, at)...)
	}
	return faults
}

func limitType(item *corev1.LimitRangeItem, at *field.Path) field.ErrorList {
	faults := invalid(at.Child("type"), item.Type, validation.IsQualifiedName(string(item.Type)))
	if len(faults) == 0 && !strings.Contains(string(item.Type), "/") {
		faults = oneOf(at.Child("type"), item.Type, corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim)
	}
	if item.Type == corev1.LimitTypePod && len(item.Default)+len(item.DefaultRequest) > 0 {
		faults = append(faults, field.Forbidden(at.Child("default"), "may not be specified when `type` is 'Pod'"))
	}
	_, least := item.Min[corev1.ResourceStorage]
	if _, most := item.Max[corev1.ResourceStorage]; item.Type == corev1.LimitTypePersistentVolumeClaim && !least && !most {
		faults = append(faults, field.Required(at.Child("limits"), "either minimum or maximum storage value is required, but neither was provided"))
	}
	return faults
}

func limitResource(of corev1.LimitType, name corev1.ResourceName, path *field.Path) field.ErrorList {
	standard := func(n corev1.ResourceName) bool { return isQuotaResource(n) || n == corev1.ResourceStorage }
	if of != corev1.LimitTypePod && of != corev1.LimitTypeContainer {
		return resourceName(name, path, standard)
	}
	faults := resourceName(name, path, func(n corev1.ResourceName) bool { return slices.Contains(containerResources, n) || isHugePages(n) })
	if len(faults) == 0 && !isNative(name) && !isExtended(name) {
		faults = append(faults, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return faults
}

// inOrder checks that what a limit says of a resource does not contradict itself.
func inOrder(item *corev1.LimitRangeItem, at *field.Path) field.ErrorList {
	var faults field.ErrorList
	above := func(field1 string, a corev1.ResourceList, field2 string, b corev1.ResourceList) {
		for name, low := range a {
			if high, has := b[name]; has && low.Cmp(high) > 0 {
				faults = append(faults, field.Invalid(at.Child(field1).Key(string(name)), low.String(), "is greater than "+field2+", "+high.String()))
			}
		}
	}
	above("min", item.Min, "max", item.Max)
	if item.Type != corev1.LimitTypePod {
		above("min", item.Min, "defaultRequest", item.DefaultRequest)
		above("defaultRequest", item.DefaultRequest, "max", item.Max)
		above("defaultRequest", item.DefaultRequest, "default", item.Default)
		above("min", item.Min, "default", item.Default)
		above("default", item.Default, "max", item.Max)
		for name, requested := range item.DefaultRequest {
			if most, has := item.Default[name]; has && (!isNative(name) || isHugePages(name)) && most.Cmp(requested) != 0 {
				faults = append(faults, field.Invalid(at.Child("defaultRequest").Key(string(name)), requested.String(), "must equal default, "+most.String()))
			}
		}
	}
	for name, ratio := range item.MaxLimitRequestRatio {
		path := at.Child("maxLimitRequestRatio").Key(string(name))
		if ratio.Cmp(resource.MustParse("1")) < 0 {
			faults = append(faults, field.Invalid(path, ratio.String(), "is less than 1"))
		}
		least, hasLeast := item.Min[name]
		if most, hasMost := item.Max[name]; hasLeast && hasMost && ratio.AsApproximateFloat64() > most.AsApproximateFloat64()/least.AsApproximateFloat64() {
			faults = append(faults, field.Invalid(path, ratio.String(), "is greater than max/min"))
		}
	}
	return faults
}
