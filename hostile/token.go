package hostile

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokenPods carry an identity that the workload does not declare.
func tokenPods() []PodCase {
	pod := func(id, title, says string, declared bool, change func(*corev1.PodSpec)) PodCase {
		return PodCase{ID: id, Control: "token", Title: title, Applies: callsAPI(declared), Change: specChange(change), Refusal: byPolicy("token-pods", says)}
	}
	project := func(source corev1.VolumeProjection) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "id", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{source}}}}}
		}
	}
	token := func(audience string) corev1.VolumeProjection {
		return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}}
	}
	certificate := corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{
		SignerName: "example.invalid/signer", KeyType: "ED25519", CredentialBundlePath: "bundle"}}
	const projects = `volume "id" projects`
	outside := pod("projected-elsewhere", "projects a token for an audience outside the cluster, though the workload declares none", projects, false, project(token(elsewhere)))
	outside.variant = true
	long := token("")
	long.ServiceAccountToken.ExpirationSeconds = new(int64(1 << 20))
	return []PodCase{
		pod("long-token", "gives pods a token that lasts for days", "lasts at most", true, project(long)),
		pod("foreign-signer", "gives pods a certificate of any signer", "are those of the API server alone", true, project(certificate)),
		pod("mount", "gives pods an identity at the API server that the workload does not declare", "automountServiceAccountToken: false", false,
			func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = new(true) }),
		pod("projected", "projects a token that the workload does not declare", projects, false, project(token(""))),
		pod("certificate", "projects a certificate that the workload does not declare", projects, false, project(certificate)),
		pod("foreign-audience", "gives pods an identity outside the cluster", projects, true, project(token(elsewhere))),
		outside,
	}
}

// callsAPI reports whether the scene's workload declares, or does not declare, that it calls the API.
func callsAPI(want bool) func(Scene) bool {
	return func(s Scene) bool {
		workload, _, found := s.Workload()
		return InForce("token")(s) && want == (found && workload.APIAccess == "OwnNamespaces")
	}
}

// tokenCases get an identity that the workload was not given.
func tokenCases() []Case {
	const control = "token"
	secret := func(title string, kind corev1.SecretType) Step {
		return create(title, "", "secrets", func(s Scene) any {
			o := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: marked(s), Type: kind}
			o.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
			return o
		})
	}
	request := func(title string, audiences ...string) Step {
		return Step{Title: title, Ask: func(s Scene) (Ask, error) {
			namespace, err := inOwn(s)
			return Ask{DryRun: &Request{Version: "v1", Namespace: namespace, Resource: "serviceaccounts", Name: "default", Subresource: "token",
				Body: &authenticationv1.TokenRequest{TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
					Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}}}, err
		}}
	}
	plain := secret("create a Secret", corev1.SecretTypeOpaque)
	eternal := ownObject("secret", control, "keeps a token that never expires in a Secret", plain,
		secret("create a Secret of a service account's token", corev1.SecretTypeServiceAccountToken), byPolicy("token-credentials", "never expires"))
	withheld := ownObject("request", control, "requests a token that the workload does not declare", plain,
		request("request a token of its own service account"), byPolicy("token-credentials", "have no identity at the API server"))
	withheld.Applies = callsAPI(false)
	audience := ownObject("request-audience", control, "requests an identity outside the cluster",
		request("request a token for the API server"), request("request a token for another audience", elsewhere), byPolicy("token-credentials", "would be an identity outside"))
	audience.Applies = callsAPI(true)
	const days = "request a token that lasts for days"
	ask := request(days)
	long := ownObject("long-request", control, "requests a token that lasts for days", request("request a token for the API server"),
		Step{Title: days, Ask: func(s Scene) (Ask, error) {
			question, err := ask.Ask(s)
			if review, ok := question.DryRun.Body.(*authenticationv1.TokenRequest); ok {
				review.Spec.ExpirationSeconds = new(int64(1 << 20))
			}
			return question, err
		}}, byPolicy("token-credentials", "lasts at most"))
	long.Applies = callsAPI(true)
	changed := func(id, title, step string, change func(*authenticationv1.TokenRequestSpec)) Case {
		ask := request(step)
		c := ownObject(id, control, title, request("request a token for the API server"), Step{Title: step, Ask: func(s Scene) (Ask, error) {
			question, err := ask.Ask(s)
			if review, ok := question.DryRun.Body.(*authenticationv1.TokenRequest); ok {
				change(&review.Spec)
			}
			return question, err
		}}, byPolicy("token-credentials", "bound to a Pod or a Secret"))
		c.Applies = callsAPI(true)
		return c
	}
	bound := changed("request-bound", "requests a token that names a node", "request a token that is bound to a Node", func(s *authenticationv1.TokenRequestSpec) {
		s.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: nothing}
	})
	return []Case{eternal, withheld, audience, long, bound, unaskedToken()}
}

// unaskedToken is a pod that leaves open whether it gets a token, which then must not get one.
func unaskedToken() Case {
	c := byPod("by-default", "token", "gets a token without asking, though its workload does not declare one", unchanged, Refusal{By: mutation})
	c.Applies = callsAPI(false)
	c.Or = byPolicy("token-pods", "") // where the tenant's owner made the service account mount its token
	c.Attempt = completedPod("create a pod that leaves open whether it gets a token", specChange(func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = nil }),
		func(pod *corev1.Pod) string {
			for _, v := range pod.Spec.Volumes {
				if v.Projected != nil && strings.HasPrefix(v.Name, "kube-api-access-") {
					return ""
				}
			}
			return "the pod was accepted without a token"
		})
	return c
}
