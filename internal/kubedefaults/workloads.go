package kubedefaults

import (
	"maps"
	"math"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func setWorkload(object any) {
	const history = 10
	switch o := object.(type) {
	case *corev1.Pod:
		setPod(o)
	case *corev1.PodTemplate:
		setPodSpec(&o.Template.Spec)
	case *corev1.ReplicationController:
		setReplicationController(o)
	case *appsv1.Deployment:
		point(&o.Spec.Replicas, 1)
		point(&o.Spec.RevisionHistoryLimit, history)
		setDeployment(&o.Spec)
	case *appsv1.ReplicaSet:
		point(&o.Spec.Replicas, 1)
		setPodSpec(&o.Spec.Template.Spec)
	case *appsv1.StatefulSet:
		point(&o.Spec.Replicas, 1)
		point(&o.Spec.RevisionHistoryLimit, history)
		setStatefulSet(&o.Spec)
	case *appsv1.DaemonSet:
		point(&o.Spec.RevisionHistoryLimit, history)
		setDaemonSet(&o.Spec)
	case *batchv1.Job:
		if len(o.Labels) == 0 && o.Spec.Template.Labels != nil {
			o.Labels = maps.Clone(o.Spec.Template.Labels)
		}
		setJob(&o.Spec)
	case *batchv1.CronJob:
		setCronJob(&o.Spec)
	}
}

func setReplicationController(c *corev1.ReplicationController) {
	point(&c.Spec.Replicas, 1)
	if c.Spec.Template == nil {
		return
	}
	setPodSpec(&c.Spec.Template.Spec)
	if labels := c.Spec.Template.Labels; labels != nil {
		if len(c.Spec.Selector) == 0 {
			c.Spec.Selector = maps.Clone(labels)
		}
		if len(c.Labels) == 0 {
			c.Labels = maps.Clone(labels)
		}
	}
}

func setDeployment(s *appsv1.DeploymentSpec) {
	const deadline = 600
	point(&s.ProgressDeadlineSeconds, deadline)
	set(&s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		point(&s.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		point(&s.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		point(&s.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	setPodSpec(&s.Template.Spec)
}

func setStatefulSet(s *appsv1.StatefulSetSpec) {
	set(&s.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	if s.UpdateStrategy.Type == "" {
		s.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		point(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
	}
	if rolling := s.UpdateStrategy.RollingUpdate; rolling != nil && s.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		point(&rolling.Partition, 0)
		point(&rolling.MaxUnavailable, intstr.FromInt32(1))
	}
	point(&s.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	set(&s.PersistentVolumeClaimRetentionPolicy.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	set(&s.PersistentVolumeClaimRetentionPolicy.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	setPodSpec(&s.Template.Spec)
	for i := range s.VolumeClaimTemplates {
		setClaim(&s.VolumeClaimTemplates[i])
	}
}

func setDaemonSet(s *appsv1.DaemonSetSpec) {
	set(&s.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if s.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		point(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		point(&s.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		point(&s.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	setPodSpec(&s.Template.Spec)
}

func setJob(s *batchv1.JobSpec) {
	const retries = 6
	if s.Parallelism == nil {
		point(&s.Completions, 1) // with a parallelism and no completions, the Job is a queue of work
	}
	point(&s.Parallelism, 1)
	if s.BackoffLimitPerIndex != nil {
		point(&s.BackoffLimit, math.MaxInt32)
	}
	point(&s.BackoffLimit, retries)
	point(&s.CompletionMode, batchv1.NonIndexedCompletion)
	point(&s.Suspend, false)
	point(&s.ManualSelector, false)
	if s.PodFailurePolicy != nil {
		point(&s.PodReplacementPolicy, batchv1.Failed)
	}
	point(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	setJobTemplate(s)
}

// setJobTemplate sets what a CronJob's template of Jobs has by default as well.
func setJobTemplate(s *batchv1.JobSpec) {
	if s.PodFailurePolicy != nil {
		for _, rule := range s.PodFailurePolicy.Rules {
			for i := range rule.OnPodConditions {
				set(&rule.OnPodConditions[i].Status, corev1.ConditionTrue)
			}
		}
	}
	setPodSpec(&s.Template.Spec)
}

func setCronJob(s *batchv1.CronJobSpec) {
	const succeeded, failed = 3, 1
	set(&s.ConcurrencyPolicy, batchv1.AllowConcurrent)
	point(&s.Suspend, false)
	point(&s.SuccessfulJobsHistoryLimit, succeeded)
	point(&s.FailedJobsHistoryLimit, failed)
	setJobTemplate(&s.JobTemplate.Spec)
}

func setAutoscaler(a *autoscalingv2.HorizontalPodAutoscaler) {
	const load = 80
	point(&a.Spec.MinReplicas, 1)
	if len(a.Spec.Metrics) == 0 {
		a.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
			Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(load))}}}}
	}
	if a.Spec.Behavior != nil {
		percent := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}
		pods := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15}
		setScaling(&a.Spec.Behavior.ScaleUp, pods, percent)
		point(&a.Spec.Behavior.ScaleUp.StabilizationWindowSeconds, 0)
		setScaling(&a.Spec.Behavior.ScaleDown, percent)
	}
}

func setScaling(rules **autoscalingv2.HPAScalingRules, policies ...autoscalingv2.HPAScalingPolicy) {
	point(rules, autoscalingv2.HPAScalingRules{})
	point(&(*rules).SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if (*rules).Policies == nil {
		(*rules).Policies = policies
	}
}
