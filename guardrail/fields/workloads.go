package fields

// eachPod is why a number of pods needs no bound of its own.
const eachPod = "It asks for pods, each of which admission judges and the quota counts when it is made."

// ownPace is why the pace at which a controller works is the tenant's.
const ownPace = "It is how the controller replaces the tenant's own pods, each of which admission judges and the quota counts."

// workloads are the kinds that make pods.
var workloads = []Section{
	{"core.v1.PodTemplate", nil},
	{"core.v1.PodTemplateSpec", nil},
	{"core.v1.ReplicationController", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.minReadySeconds", Harmless, ownPace, ""},
		{"spec.replicas", Harmless, eachPod, ""},
		{"spec.selector", Harmless, "It selects pods of its own namespace.", ""},
	}},
	{"apps.v1.ReplicaSet", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.minReadySeconds", Harmless, ownPace, ""},
		{"spec.replicas", Harmless, eachPod, ""},
	}},
	{"apps.v1.Deployment", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.minReadySeconds", Harmless, ownPace, ""},
		{"spec.paused", Harmless, ownPace, ""},
		{"spec.progressDeadlineSeconds", Harmless, "It is when a condition of the tenant's own object changes.", ""},
		{"spec.replicas", Harmless, eachPod, ""},
		{"spec.revisionHistoryLimit", Bounded, "quota", "quota/revisions-of-deployments"},
		{"spec.strategy", Harmless, ownPace, ""},
	}},
	{"apps.v1.StatefulSet", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.minReadySeconds", Harmless, ownPace, ""},
		{"spec.ordinals", Harmless, "It is a number in names of the tenant's own pods.", ""},
		{"spec.persistentVolumeClaimRetentionPolicy", Harmless, "It keeps or deletes the tenant's own claims, which the quota counts.", ""},
		{"spec.podManagementPolicy", Harmless, ownPace, ""},
		{"spec.replicas", Harmless, eachPod, ""},
		{"spec.revisionHistoryLimit", Bounded, "quota", "quota/revisions-of-statefulsets"},
		{"spec.serviceName", Harmless, "It names a Service of its own namespace.", ""},
		{"spec.updateStrategy", Harmless, ownPace, ""},
		{"#", Harmless, lists, ""},
	}},
	{"apps.v1.DaemonSet", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.minReadySeconds", Harmless, ownPace, ""},
		{"spec.revisionHistoryLimit", Bounded, "quota", "quota/revisions-of-daemonsets"},
		{"spec.updateStrategy", Harmless, ownPace, ""},
	}},
	{"batch.v1.CronJob", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.concurrencyPolicy", Harmless, "It asks for Jobs, which the quota counts.", ""},
		{"spec.failedJobsHistoryLimit", Bounded, "quota", "quota/old-jobs"},
		{"spec.schedule", Harmless, "It asks for a Job a minute at most, and the quota counts them.", ""},
		{"spec.startingDeadlineSeconds", Harmless, "It asks for Jobs, which the quota counts.", ""},
		{"spec.successfulJobsHistoryLimit", Harmless, "It keeps Jobs, which the quota counts.", ""},
		{"spec.suspend", Harmless, "It asks for no Jobs.", ""},
		{"spec.timeZone", Harmless, "It is the clock by which the schedule counts.", ""},
	}},
	{"batch.v1.JobTemplateSpec", nil},
	{"batch.v1.Job", []Row{
		{"status", Server, "Its controller writes it.", ""},
	}},
	{"batch.v1.JobSpec", []Row{
		{"activeDeadlineSeconds", Harmless, "It ends the tenant's own pods sooner.", ""},
		{"backoffLimit", Harmless, eachPod, ""},
		{"backoffLimitPerIndex", Harmless, eachPod, ""},
		{"completionMode", Harmless, "It numbers the tenant's own pods.", ""},
		{"completions", Harmless, eachPod, ""},
		{"managedBy", Refused, "quota", "quota/other-controller"},
		{"manualSelector", Harmless, "The selector sees pods of its own namespace.", ""},
		{"maxFailedIndexes", Harmless, "It ends the tenant's own Job sooner.", ""},
		{"parallelism", Harmless, eachPod, ""},
		{"podFailurePolicy", Harmless, "It decides when the tenant's own Job has failed; the API server bounds its length.", ""},
		{"podReplacementPolicy", Harmless, ownPace, ""},
		{"scheduling", Refused, "quota", "quota/job-scheduling"},
		{"successPolicy", Harmless, "It decides when the tenant's own Job is done; the API server bounds its length.", ""},
		{"suspend", Harmless, "It asks for no pods.", ""},
		{"ttlSecondsAfterFinished", Harmless, "It deletes the tenant's own Job; kept ones are counted.", ""},
	}},
}
