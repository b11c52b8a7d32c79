package kubedefaults

import (
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
)

// setPod sets what a pod has by default and a template of pods lacks, and then the rest.
func setPod(p *corev1.Pod) {
	s := &p.Spec
	if grace := s.TerminationGracePeriodSeconds; grace != nil && *grace < 0 {
		s.TerminationGracePeriodSeconds = new(int64(1))
	}
	point(&s.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			c := &containers[i]
			if c.Resources.Limits != nil && c.Resources.Requests == nil {
				c.Resources.Requests = corev1.ResourceList{}
			}
			addMissing(c.Resources.Requests, c.Resources.Limits)
			if s.HostNetwork {
				for j := range c.Ports {
					set(&c.Ports[j].HostPort, c.Ports[j].ContainerPort)
				}
			}
		}
	}
	setPodSpec(s)
	setPodStatus(&p.Status)
}

// setPodStatus keeps the first address and the list of addresses the same. Where they differ, the first one counts.
func setPodStatus(s *corev1.PodStatus) {
	switch {
	case s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP):
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	case s.PodIP == "" && len(s.PodIPs) > 0:
		s.PodIP = s.PodIPs[0].IP
	}
	for _, containers := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range containers {
			roundUp(containers[i].AllocatedResources)
			roundRequirements(containers[i].Resources)
		}
	}
	roundUp(s.AllocatedResources)
	roundRequirements(s.Resources)
}

func roundRequirements(r *corev1.ResourceRequirements) {
	if r != nil {
		roundUp(r.Limits, r.Requests)
	}
}

// setPodSpec sets the defaults of a pod spec, be it of a pod or of a template.
func setPodSpec(s *corev1.PodSpec) {
	set(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	set(&s.DNSPolicy, corev1.DNSClusterFirst)
	set(&s.RestartPolicy, corev1.RestartPolicyAlways)
	set(&s.SchedulerName, corev1.DefaultSchedulerName)
	point(&s.SecurityContext, corev1.PodSecurityContext{})
	point(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	roundUp(s.Overhead)
	roundRequirements(s.Resources)
	for i := range s.Volumes {
		setVolume(&s.Volumes[i].VolumeSource)
	}
	for i := range s.InitContainers {
		setContainer(&s.InitContainers[i])
	}
	for i := range s.Containers {
		setContainer(&s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		setContainer((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
}

func setContainer(c *corev1.Container) {
	setPull(&c.ImagePullPolicy, c.Image)
	set(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	set(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		set(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			setField(from.FieldRef)
			if from.FileKeyRef != nil {
				point(&from.FileKeyRef.Optional, false)
			}
		}
	}
	roundUp(c.Resources.Limits, c.Resources.Requests)
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe != nil {
			setProbe(probe)
		}
	}
	if c.Lifecycle != nil {
		for _, hook := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if hook != nil {
				setRequest(hook.HTTPGet)
			}
		}
	}
}

// setPull sets the policy by the image's name: Always for the tag "latest", which is also that of a name with neither tag
// nor digest; IfNotPresent for all others, be they names or not.
func setPull(policy *corev1.PullPolicy, image string) {
	if *policy != "" {
		return
	}
	*policy = corev1.PullIfNotPresent
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return
	}
	if tagged, is := reference.TagNameOnly(named).(reference.Tagged); is && tagged.Tag() == "latest" {
		*policy = corev1.PullAlways
	}
}

func setProbe(p *corev1.Probe) {
	const timeout, period, success, failure = 1, 10, 1, 3
	set(&p.TimeoutSeconds, timeout)
	set(&p.PeriodSeconds, period)
	set(&p.SuccessThreshold, success)
	set(&p.FailureThreshold, failure)
	setRequest(p.HTTPGet)
	if p.GRPC != nil {
		point(&p.GRPC.Service, "")
	}
}

func setRequest(r *corev1.HTTPGetAction) {
	if r != nil {
		set(&r.Path, "/")
		set(&r.Scheme, corev1.URISchemeHTTP)
	}
}

func setField(f *corev1.ObjectFieldSelector) {
	if f != nil {
		set(&f.APIVersion, "v1")
	}
}

// setVolume sets the defaults of a pod's volume. One of no source is an empty directory.
func setVolume(v *corev1.VolumeSource) {
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v.Image != nil {
		setPull(&v.Image.PullPolicy, v.Image.Reference)
	}
	setHostPath(v.HostPath)
	setAzureDisk(v.AzureDisk)
	if v.Secret != nil {
		point(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if v.ConfigMap != nil {
		point(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if v.DownwardAPI != nil {
		point(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		setFields(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		setProjected(v.Projected)
	}
	if v.ISCSI != nil {
		set(&v.ISCSI.ISCSIInterface, "default")
	}
	if v.RBD != nil {
		setRBD(&v.RBD.RBDPool, &v.RBD.RadosUser, &v.RBD.Keyring)
	}
	if v.ScaleIO != nil {
		setScaleIO(&v.ScaleIO.StorageMode, &v.ScaleIO.FSType)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		setClaimSpec(&v.Ephemeral.VolumeClaimTemplate.Spec)
	}
}

func setFields(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		setField(files[i].FieldRef)
	}
}

func setProjected(p *corev1.ProjectedVolumeSource) {
	point(&p.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range p.Sources {
		if down := p.Sources[i].DownwardAPI; down != nil {
			setFields(down.Items)
		}
		if token := p.Sources[i].ServiceAccountToken; token != nil {
			point(&token.ExpirationSeconds, int64(time.Hour/time.Second))
		}
	}
}

func setHostPath(h *corev1.HostPathVolumeSource) {
	if h != nil {
		point(&h.Type, corev1.HostPathUnset)
	}
}

func setAzureDisk(d *corev1.AzureDiskVolumeSource) {
	if d != nil {
		point(&d.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		point(&d.FSType, "ext4")
		point(&d.ReadOnly, false)
		point(&d.Kind, corev1.AzureSharedBlobDisk)
	}
}

func setRBD(pool, user, keyring *string) {
	set(pool, "rbd")
	set(user, "admin")
	set(keyring, "/etc/ceph/keyring")
}

func setScaleIO(mode, fs *string) {
	set(mode, "ThinProvisioned")
	set(fs, "xfs")
}

func setClaim(c *corev1.PersistentVolumeClaim) {
	set(&c.Status.Phase, corev1.ClaimPending)
	setClaimSpec(&c.Spec)
	roundUp(c.Status.Capacity, c.Status.AllocatedResources)
}

// setDevices is of claims of devices: as many as one, where it is not said otherwise.
func setDevices(requests []resourcev1.DeviceRequest) {
	one := func(mode *resourcev1.DeviceAllocationMode, count *int64, tolerations []resourcev1.DeviceToleration) {
		set(mode, resourcev1.DeviceAllocationModeExactCount)
		if *mode == resourcev1.DeviceAllocationModeExactCount {
			set(count, 1)
		}
		setDeviceTolerations(tolerations)
	}
	for i := range requests {
		if exactly := requests[i].Exactly; exactly != nil {
			one(&exactly.AllocationMode, &exactly.Count, exactly.Tolerations)
		}
		for j := range requests[i].FirstAvailable {
			sub := &requests[i].FirstAvailable[j]
			one(&sub.AllocationMode, &sub.Count, sub.Tolerations)
		}
	}
}

func setDeviceTolerations(tolerations []resourcev1.DeviceToleration) {
	for i := range tolerations {
		set(&tolerations[i].Operator, resourcev1.DeviceTolerationOpEqual)
	}
}

func setClaimSpec(s *corev1.PersistentVolumeClaimSpec) {
	point(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUp(s.Resources.Limits, s.Resources.Requests)
}
