package check

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// stranger is a user that does not exist and that no binding should name.
const stranger = v1alpha1.UserPrefix + "nobody"

// checkAuthorizer asks what a stranger and an anonymous caller may do: they must be refused something that matters,
// and, as the positive control, be allowed what RBAC's own default bindings allow, with RBAC given as the reason.
func checkAuthorizer(ctx context.Context, s *session) ([]Finding, error) {
	secrets := &authorizationv1.ResourceAttributes{Verb: "list", Version: "v1", Resource: "secrets"}
	for _, who := range []authorizationv1.SubjectAccessReviewSpec{
		{User: stranger, Groups: []string{"system:authenticated"}, ResourceAttributes: secrets},
		{User: "system:anonymous", Groups: []string{"system:unauthenticated"}, ResourceAttributes: secrets},
	} {
		status, err := s.review(ctx, who)
		if err != nil {
			return nil, err
		}
		if status.Allowed {
			return one(Problem, "%s may list every Secret: %s", who.User, orElse(status.Reason, "the authorizer gives no reason"))
		}
	}
	status, err := s.review(ctx, authorizationv1.SubjectAccessReviewSpec{
		User: stranger, Groups: []string{"system:authenticated"},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/version", Verb: "get"},
	})
	if err != nil {
		return nil, err
	}
	if !status.Allowed || !strings.HasPrefix(status.Reason, "RBAC:") {
		return one(Unknown, "strangers are refused, but not visibly by RBAC (asked for /version: allowed=%t %s)",
			status.Allowed, orElse(status.Reason, "without a reason"))
	}
	return one(OK, "strangers are refused Secrets and allowed /version, by RBAC")
}

func (s *session) review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: spec}
	if err := s.client.Create(ctx, review); err != nil {
		return review.Status, fmt.Errorf("ask what %s may do: %w", spec.User, err)
	}
	return review.Status, nil
}

// checkPodSecurity tries, in a dry run, a namespace whose Pod Security label holds no level: only that admission
// plugin refuses it. The same namespace with a level is the positive control.
func checkPodSecurity(ctx context.Context, s *session) ([]Finding, error) {
	const label = "pod-security.kubernetes.io/enforce"
	try := func(level string) error {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: v1alpha1.NamePrefix + "preflight-", Labels: map[string]string{label: level}}}
		return s.client.Create(ctx, namespace, client.DryRunAll)
	}
	if err := try("restricted"); err != nil {
		return nil, fmt.Errorf("dry-run a namespace: %w", err)
	}
	err := try("not-a-level")
	switch {
	case err == nil:
		return one(Problem, "off: a namespace with a Pod Security level that does not exist is accepted")
	case apierrors.IsInvalid(err) && strings.Contains(err.Error(), "must be one of privileged, baseline, restricted"):
		return one(OK, "on")
	}
	return nil, fmt.Errorf("dry-run a namespace with a level that does not exist: refused by something else: %w", err)
}

// checkNodeRestriction tries, in a dry run and as a kubelet that does not exist, to register a node with a label that
// kubelets must not set. The same node without it is the positive control.
func checkNodeRestriction(ctx context.Context, s *session) ([]Finding, error) {
	const name = v1alpha1.NamePrefix + "preflight"
	if as := s.Config.Impersonate.UserName; as != "" {
		return one(Unknown, "cannot be asked while acting as %s: it needs acting as a kubelet", as)
	}
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + name, Groups: []string{"system:nodes", "system:authenticated"}}
	// The mapper is the caller's: a kubelet's discovery would be refused first, in words that do not help.
	kubelet, err := client.New(config, client.Options{Scheme: s.client.Scheme(), Mapper: s.client.RESTMapper()})
	if err != nil {
		return nil, err
	}
	try := func(labels map[string]string) error {
		return kubelet.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, client.DryRunAll)
	}
	if err := try(nil); err != nil {
		return nil, fmt.Errorf("dry-run a node as its kubelet: %w", err)
	}
	err = try(map[string]string{v1alpha1.LabelNodeTenant: "nobody"})
	switch {
	case err == nil:
		return one(Problem, "off: a kubelet may give its node the label %s", v1alpha1.LabelNodeTenant)
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "is not allowed to set the following labels"):
		return one(OK, "on: a kubelet may not give its node the label %s", v1alpha1.LabelNodeTenant)
	}
	return nil, fmt.Errorf("dry-run a node with a tenant's label as its kubelet: refused by something else: %w", err)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
