package badinput

// base is one correct object of each kind; every case spoils one.
var base = map[string]string{
	"Platform": `apiVersion: bulkhead.dev/v1alpha1
kind: Platform
metadata:
  name: platform
spec:
  environment: Production
  registries: [registry.example.com/apps, "docker.io/library", "localhost:5000"]
  storageClasses: [standard]
  priorityClasses: [business]
  sandboxRuntimes: [gvisor]
  network:
    podCIDRs: [10.244.0.0/16]
    serviceCIDRs: [10.96.0.0/12]
    externalCIDRs: [203.0.113.0/24]
  services:
    - {name: ingress, namespace: ingress, podLabels: {app: ingress}}
  flows:
    - {from: news, to: archive}
  nodeGroups:
    - {name: one, nodeLabels: {node.example.com/pool: one}}
  tenantResources:
    - {group: example.com, resources: [widgets]}
  proofFreshness: 10m
`,
	"Tenant": `apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata:
  name: news
spec:
  owners:
    - {kind: Group, name: "teams:news"}
    - {kind: ServiceAccount, namespace: deploy, name: news}
  boundary: Inside
  unit: editorial
  quota:
    requests.cpu: "8"
    requests.memory: 16Gi
    pods: 40
  ingressHosts: [www.example.com, "*.news.example.com"]
  workloads:
    - {name: site, code: Audited, environment: Production}
    - {name: jobs, code: ThirdParty, environment: Production, performance: Guaranteed}
`,
	"Space": `apiVersion: bulkhead.dev/v1alpha1
kind: Space
metadata:
  name: site
  namespace: tenant-news
spec:
  workload: site
  quota: {requests.cpu: "2", pods: 10}
  to:
    - {space: media, ports: [{port: 8080}, {port: 9000, endPort: 9010}, {port: http}]}
    - {tenant: archive, space: search, pods: {app: web}}
    - {cidr: 203.0.113.0/28}
  from:
    - {service: ingress, ports: [{port: 8080}]}
`,
	"Waiver": `apiVersion: bulkhead.dev/v1alpha1
kind: Waiver
metadata:
  name: ocr-image
spec:
  control: images
  tenant: archive
  workload: scans
  reason: The vendor publishes its engine only in its own registry.
  approver: security@example.com
  expires: "2030-06-30T00:00:00Z"
`,
}

// badCase spoils the base of a kind and says how it is refused.
type badCase struct {
	name string
	kind string
	// old and new are the text that is replaced in the base.
	old, new string
	// says is what the API server answers; and what `bulkhead decide` prints, unless file says otherwise.
	says string
	// at is the line:column that `bulkhead decide` points at.
	at string
	// file is what `bulkhead decide` says where its words differ: it parses YAML itself.
	file string
}

const (
	dnsHost  = "an ingress host is a full DNS name in lower case, such as www.example.com, or *.example.com: no scheme, port, path or address, and no wildcard elsewhere"
	registry = "a registry is a host with a dot or a port, and an optional path in lower case: registry.example.com/team, docker.io/library, localhost:5000"
	aLabel   = "must be lower-case letters, digits and hyphens, and start and end with a letter or digit"
	quotaKey = "a key is not one that a ResourceQuota counts by: write for example requests.cpu, requests.memory, limits.memory, requests.storage, pods, services.loadbalancers or count/jobs.batch"
	tenantID = "a tenant's name has at most 28 lower-case letters, digits and single hyphens, and neither starts nor ends with a hyphen"
	spaceID  = "a space's name has at most 32 lower-case letters, digits and single hyphens, and neither starts nor ends with a hyphen"
)

var yamlCases = []badCase{
	{name: "malformed YAML", kind: "Tenant", old: "{kind: Group, name: \"teams:news\"}", new: "{kind: Group, name: \"teams:news\"",
		says: "did not find expected ',' or '}'", at: "7:5"},
	{name: "a tab in the indentation", kind: "Tenant", old: "  boundary: Inside", new: "\tboundary: Inside",
		says: "found character that cannot start any token", at: "9:1", file: "a tab in the indentation: YAML indents with spaces only"},
	{name: "a duplicate key", kind: "Tenant", old: "  boundary: Inside\n", new: "  boundary: Inside\n  boundary: Outside\n",
		says: `key "boundary" already set in map`, at: "10:3", file: `key "boundary" is given twice, first in line 9`},
	{name: "billion laughs", kind: "Tenant", old: "metadata:\n", new: laughs + "metadata:\n",
		says: "document contains excessive aliasing", at: "3:", file: "aliases (*name) that multiply it are refused"},
	{name: "an alias within what it stands for", kind: "Tenant", old: "  unit: editorial", new: "  unit: &u [*u]",
		says: "anchor 'u' value contains itself", at: "10:", file: "an alias (*name) within what it stands for"},
	{name: "YAML 1.1 boolean", kind: "Tenant", old: "  unit: editorial", new: "  protected: yes\n  unit: on",
		says: `spec.unit in body must be of type string: "boolean"`, at: "10:14", file: `yes means true or false to Kubernetes and a word to others`},
	{name: "a merge key", kind: "Tenant", old: "  unit: editorial", new: "  <<: {unit: editorial, unitt: x}",
		says: `unknown field "spec.unitt"`, at: "10:3", file: "merge keys (<<) are not supported: write the fields out"},
	{name: "not a number", kind: "Tenant", old: "pods: 40", new: "pods: .nan",
		says: "NaN", at: "14:11", file: ".nan is not a number that an API has"},
}

// laughs stands for 10^9 values in 400 bytes.
const laughs = `a: &a [x,x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]
h: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]
`

var tenantCases = []badCase{
	{name: "unknown field", old: "  boundary:", new: "  trust: Full\n  boundary:", says: `unknown field "spec.trust"`, at: "9:10"},
	{name: "misspelled field", old: "  boundary:", new: "  boundarie:", says: `unknown field "spec.boundarie"`, at: "9:14", file: `unknown field "spec.boundarie": did you mean "boundary"?`},
	{name: "unknown field of a workload", old: "performance: Guaranteed", new: "performances: Guaranteed", says: `unknown field "spec.workloads[1].performances"`, at: "18:77"},
	{name: "misspelled metadata", old: "metadata:\n", new: "metadata:\n  lables: {a: b}\n", says: `unknown field "metadata.lables"`, at: "4:3"},
	{name: "boundary missing", old: "  boundary: Inside\n", new: "", says: "spec.boundary: Required value", at: "5:1", file: "spec.boundary: Required value: one of Inside, Outside"},
	{name: "origin of the code missing", old: "code: Audited, ", new: "", says: "spec.workloads[0].code: Required value", at: "17:7", file: "spec.workloads[0].code: Required value: one of Audited, ThirdParty, Arbitrary"},
	{name: "environment missing", old: "{name: site, code: Audited, environment: Production}", new: "{name: site, code: Audited}", says: "spec.workloads[0].environment: Required value", at: "17:7"},
	{name: "quota missing", old: "  quota:\n    requests.cpu: \"8\"\n    requests.memory: 16Gi\n    pods: 40\n", new: "", says: "spec.quota: Required value", at: "5:1"},
	{name: "misspelled enum", old: "boundary: Inside", new: "boundary: inside", says: `spec.boundary: Unsupported value: "inside": supported values: "Inside", "Outside"`, at: "9:13"},
	{name: "look-alike enum", old: "boundary: Inside", new: "boundary: Insidе", says: `spec.boundary: Unsupported value: "Insidе": supported values: "Inside", "Outside"`, at: "9:13"},
	{name: "wrong type", old: "unit: editorial", new: "protected: \"true\"", says: `spec.protected in body must be of type boolean: "string"`, at: "10:14"},
	{name: "a word for a list", old: "ingressHosts: [www.example.com, \"*.news.example.com\"]", new: "ingressHosts: www.example.com", says: `spec.ingressHosts in body must be of type array: "string"`, at: "15:17"},
	{name: "a list for a map", old: "  quota:\n    requests.cpu: \"8\"\n    requests.memory: 16Gi\n    pods: 40\n", new: "  quota: [pods, 40]\n", says: `spec.quota in body must be of type object: "array"`, at: "11:3"},
	{name: "no owner", old: "  owners:\n    - {kind: Group, name: \"teams:news\"}\n    - {kind: ServiceAccount, namespace: deploy, name: news}\n", new: "  owners: []\n", says: "spec.owners in body should have at least 1 items", at: "6:3"},
	{name: "an owner twice", old: "{kind: ServiceAccount, namespace: deploy, name: news}", new: "{name: \"teams:news\", kind: Group}", says: "spec.owners: Invalid value: an owner is listed twice", at: "6:3"},
	{name: "system group", old: "teams:news", new: "system:authenticated", says: "an owner must not be one of Kubernetes' own users or groups (system:...); for a service account write kind: ServiceAccount with its namespace and name", at: "7:7"},
	{name: "system masters", old: "teams:news", new: "system:masters", says: "an owner must not be one of Kubernetes' own users or groups", at: "7:7"},
	{name: "everybody", old: "teams:news", new: "*", says: "* would be everybody", at: "7:7"},
	{name: "a group of Bulkhead's", old: "teams:news", new: "bulkhead:controllers", says: "bulkhead:... are Bulkhead's own", at: "7:7"},
	{name: "a service account of the cluster", old: "namespace: deploy", new: "namespace: kube-system", says: "service accounts of the cluster's own namespaces", at: "8:7"},
	{name: "a service account of another tenant", old: "namespace: deploy", new: "namespace: media--site", says: "a service account of another tenant's namespace", at: "4:9"},
	{name: "a name that DNS reads", old: "  name: news\n", new: "  name: xn\n", says: "xn is no tenant's name", at: "4:9"},
	{name: "service account as a user", old: "{kind: ServiceAccount, namespace: deploy, name: news}", new: "{kind: User, name: \"system:serviceaccount:kube-system:default\"}", says: "for a service account write kind: ServiceAccount with its namespace and name", at: "8:7"},
	{name: "service account without namespace", old: "namespace: deploy, ", new: "", says: "namespace is required for a ServiceAccount, and for nothing else", at: "8:7"},
	{name: "group with a namespace", old: "{kind: Group, name: \"teams:news\"}", new: "{kind: Group, name: \"teams:news\", namespace: deploy}", says: "namespace is required for a ServiceAccount, and for nothing else", at: "7:7"},
	{name: "look-alike owner", old: "teams:news", new: "teаms:news", says: "an owner's name is printable ASCII without spaces around it: letters that only look like others are refused", at: "7:27"},
	{name: "invisible letter in an owner", old: "\"teams:news\"", new: "\"teams\\u200b:news\"", says: "letters that only look like others are refused", at: "7:27"},
	{name: "owner with a space behind", old: "\"teams:news\"", new: "\"teams:news \"", says: "printable ASCII without spaces around it", at: "7:27"},
	{name: "a newline in an owner", old: "\"teams:news\"", new: "\"teams:news\\nsystem:masters\"", says: "printable ASCII without spaces around it", at: "7:27"},
	{name: "quota key that nothing counts", old: "requests.cpu: \"8\"", new: "cores: \"8\"", says: "spec.quota: Invalid value: " + quotaKey, at: "11:3"},
	{name: "two spellings of a quota key", old: "requests.cpu: \"8\"", new: "cpu: \"8\"", says: quotaKey, at: "11:3"},
	{name: "look-alike quota key", old: "requests.cpu: \"8\"", new: "requests.сpu: \"8\"", says: quotaKey, at: "11:3"},
	{name: "negative quantity", old: "requests.memory: 16Gi", new: "requests.memory: -16Gi", says: "spec.quota: Invalid value: an amount is negative: the least is 0", at: "11:3"},
	{name: "negative count", old: "pods: 40", new: "pods: -40", says: "an amount is negative: the least is 0", at: "11:3"},
	{name: "thousandths of a byte", old: "requests.memory: 16Gi", new: "requests.memory: 16000m", says: "only CPU comes in thousandths: 100m of memory is a tenth of a byte; write 100Mi for mebibytes", at: "11:3"},
	{name: "a huge quantity", old: "requests.cpu: \"8\"", new: "requests.cpu: \"99999999999999999999\"", says: "what exceeds every cluster is no limit", at: "11:3"},
	{name: "a huge count", old: "pods: 40", new: "pods: 99999999999999999999", says: `spec.quota.pods`, at: "14:11", file: "spec.quota.pods: Invalid value"},
	{name: "not a quantity", old: "16Gi", new: "sixteen", says: `spec.quota.requests.memory: Invalid value: "sixteen"`, at: "13:22", file: "must be a number or a quantity such as 500m, 4 or 16Gi"},
	{name: "node ports", old: "pods: 40", new: "services.nodeports: 3", says: "services.nodeports is always 0: a node port is open on every node, and tenants share nodes", at: "11:3"},
	{name: "host with a scheme", old: "www.example.com", new: "\"https://www.example.com\"", says: `spec.ingressHosts[0]: Invalid value: "https://www.example.com": ` + dnsHost, at: "15:18"},
	{name: "host with a wildcard inside", old: "\"*.news.example.com\"", new: "www.*.example.com", says: "spec.ingressHosts[1]: Invalid value: \"www.*.example.com\": " + dnsHost, at: "15:35"},
	{name: "every host", old: "\"*.news.example.com\"", new: "\"*\"", says: dnsHost, at: "15:35"},
	{name: "a host twice", old: "\"*.news.example.com\"", new: "www.example.com", says: `spec.ingressHosts[1]: Duplicate value: "www.example.com"`, at: "15:35"},
	{name: "look-alike host", old: "www.example.com", new: "www.exаmple.com", says: dnsHost, at: "15:18"},
	{name: "a workload twice", old: "name: jobs", new: "name: site", says: `spec.workloads[1]: Duplicate value: {"name":"site"}`, at: "18:7"},
	{name: "no workload", old: "  workloads:\n    - {name: site, code: Audited, environment: Production}\n    - {name: jobs, code: ThirdParty, environment: Production, performance: Guaranteed}\n", new: "  workloads: []\n", says: "spec.workloads in body should have at least 1 items", at: "16:3"},
	{name: "workload in upper case", old: "name: site,", new: "name: Site,", says: `spec.workloads[0].name: Invalid value: "Site": ` + aLabel, at: "17:14"},
	{name: "name with two hyphens", old: "  name: news\n", new: "  name: news--site\n", says: tenantID, at: "4:9"},
	{name: "name in upper case", old: "  name: news\n", new: "  name: News\n", says: `metadata.name: Invalid value: "News": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters`, at: "4:9"},
	{name: "name too long", old: "  name: news\n", new: "  name: the-news-room-of-the-whole-publisher\n", says: tenantID, at: "4:9"},
	{name: "name with a dot", old: "  name: news\n", new: "  name: news.example\n", says: tenantID, at: "4:9"},
	{name: "look-alike name", old: "  name: news\n", new: "  name: nеws\n", says: "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters", at: "4:9"},
	{name: "no name", old: "  name: news\n", new: "  labels: {a: b}\n", says: "name or generateName is required", at: "3:1"},
	{name: "unit in other letters", old: "editorial", new: "editоrial", says: "must be letters, digits, hyphens, dots and underscores of ASCII", at: "10:9"},
	{name: "another version", old: "bulkhead.dev/v1alpha1", new: "bulkhead.dev/v1", says: `Tenant in version "v1" cannot be handled as a Tenant`, at: "1:1", file: "no such kind: Tenant of bulkhead.dev/v1; want Platform, Tenant, Space or Waiver of bulkhead.dev/v1alpha1"},
	{name: "no kind", old: "kind: Tenant\n", new: "", says: "Object 'Kind' is missing", at: "1:1", file: "apiVersion or kind is missing: want for example apiVersion: bulkhead.dev/v1alpha1 and kind: Tenant"},
}

var spaceCases = []badCase{
	{name: "workload missing", old: "  workload: site\n", new: "", says: "spec.workload: Required value", at: "6:1"},
	{name: "flow to itself", old: "{space: media,", new: "{space: site,", says: "spec.to names the Space itself: what its own pods may do among themselves is spec.internal", at: "4:9"},
	{name: "flow from itself", old: "{service: ingress,", new: "{space: site,", says: "spec.from names the Space itself", at: "4:9"},
	{name: "flow with two peers", old: "{cidr: 203.0.113.0/28}", new: "{cidr: 203.0.113.0/28, service: bus}", says: "spec.to[2]: Invalid value: a flow names exactly one of space, service and cidr", at: "12:7"},
	{name: "flow without a peer", old: "{cidr: 203.0.113.0/28}", new: "{ports: [{port: 80}]}", says: "a flow names exactly one of space, service and cidr", at: "12:7"},
	{name: "flow to a whole tenant", old: "{tenant: archive, space: search, pods: {app: web}}", new: "{tenant: archive, service: bus}", says: "tenant needs space: a flow to another tenant names one of its Spaces", at: "11:7"},
	{name: "port range reversed", old: "endPort: 9010", new: "endPort: 8999", says: "spec.to[0].ports[1]: Invalid value: endPort ends a range: it needs a numeric port, and is not smaller than it", at: "10:44"},
	{name: "range of a named port", old: "{port: http}", new: "{port: http, endPort: 90}", says: "endPort ends a range: it needs a numeric port, and is not smaller than it", at: "10:"},
	{name: "port 0", old: "{port: 8080}, ", new: "{port: 0}, ", says: "port is a number from 1 to 65535, or the name of a container port: at most 15 lower-case letters, digits and single hyphens, not only digits", at: "10:30"},
	{name: "port too large", old: "{port: 8080}, ", new: "{port: 65536}, ", says: "port is a number from 1 to 65535", at: "10:30"},
	{name: "port as a word", old: "{port: 8080}, ", new: "{port: \"8080\"}, ", says: "not only digits", at: "10:30"},
	{name: "unknown protocol", old: "{port: 8080}, ", new: "{port: 8080, protocol: ICMP}, ", says: `spec.to[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"`, at: "10:"},
	{name: "bad CIDR", old: "203.0.113.0/28", new: "203.0.113.0/33", says: `spec.to[2].cidr: Invalid value: "203.0.113.0/33": must be a CIDR such as 203.0.113.0/24 or 2001:db8::/32; a single address is 203.0.113.7/32`, at: "12:14"},
	{name: "an address for a CIDR", old: "203.0.113.0/28", new: "203.0.113.7", says: "a single address is 203.0.113.7/32", at: "12:14"},
	{name: "CIDR with host bits", old: "203.0.113.0/28", new: "203.0.113.9/28", says: "the address has bits set behind the prefix: write the first address of the range", at: "12:14"},
	{name: "peer with two hyphens", old: "{space: media,", new: "{space: media--x,", says: spaceID, at: "10:15"},
	{name: "peer's tenant in upper case", old: "tenant: archive", new: "tenant: Archive", says: tenantID, at: "11:16"},
	{name: "label key with spaces", old: "pods: {app: web}", new: "pods: {\"app name\": web}", says: "a label's key is a name of at most 63 letters, digits, hyphens, dots and underscores, with an optional DNS prefix such as example.com/", at: "11:"},
	{name: "label value too long", old: "pods: {app: web}", new: "pods: {app: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}", says: "a label's value has at most 63 characters", at: "11:"},
	{name: "negative share", old: "requests.cpu: \"2\"", new: "requests.cpu: \"-2\"", says: "spec.quota: Invalid value: an amount is negative: the least is 0", at: "8:3"},
	{name: "free text as a quota", old: "requests.cpu: \"2\"", new: "a lot of cpu: \"2\"", says: quotaKey, at: "8:3"},
	{name: "internal misspelled", old: "  workload: site\n", new: "  workload: site\n  internal: open\n", says: `spec.internal: Unsupported value: "open": supported values: "Open", "Closed"`, at: "8:13"},
	{name: "name with two hyphens", old: "  name: site\n", new: "  name: site--two\n", says: spaceID, at: "4:9"},
	{name: "name too long", old: "  name: site\n", new: "  name: the-site-of-the-whole-publisher-and-more\n", says: spaceID, at: "4:9"},
	{name: "name with a path", old: "  name: site\n", new: "  name: ../site\n", says: "metadata.name: Invalid value: \"../site\"", at: "4:9"},
}

var platformCases = []badCase{
	{name: "second Platform", old: "  name: platform\n", new: "  name: other\n", says: "there is one Platform on a cluster, and its name is platform", at: "4:9"},
	{name: "environment missing", old: "  environment: Production\n", new: "", says: "spec.environment: Required value", at: "5:1"},
	{name: "environment misspelled", old: "Production", new: "Staging", says: `spec.environment: Unsupported value: "Staging": supported values: "Production", "NonProduction"`, at: "6:16"},
	{name: "registry with a scheme", old: "registry.example.com/apps", new: "https://registry.example.com", says: "a registry is written without a scheme: registry.example.com/team", at: "7:16"},
	{name: "registry with a slash behind", old: "registry.example.com/apps", new: "registry.example.com/", says: "a registry is written without a trailing slash: the comparison adds it", at: "7:16"},
	{name: "registry with a wildcard", old: "registry.example.com/apps", new: "\"*.example.com\"", says: "a registry has no wildcards: everything below it is allowed anyway", at: "7:16"},
	{name: "a path for a registry", old: "registry.example.com/apps", new: "library/nginx", says: registry, at: "7:16"},
	{name: "look-alike registry", old: "registry.example.com/apps", new: "registry.exаmple.com", says: registry, at: "7:16"},
	{name: "registry twice", old: "\"docker.io/library\"", new: "registry.example.com/apps", says: `spec.registries[1]: Duplicate value: "registry.example.com/apps"`, at: "7:43"},
	{name: "the cluster's own priority", old: "[business]", new: "[system-cluster-critical]", says: "system-... classes are for the cluster's own pods: a tenant with one evicts every other pod, the cluster's DNS included", at: "9:21"},
	{name: "wildcard storage class", old: "[standard]", new: "[\"*\"]", says: "must be the name of an object: lower-case letters, digits, hyphens and dots; wildcards are not understood", at: "8:20"},
	{name: "no pod range", old: "podCIDRs: [10.244.0.0/16]", new: "podCIDRs: []", says: "spec.network.podCIDRs in body should have at least 1 items", at: "12:5"},
	{name: "bad pod range", old: "10.244.0.0/16", new: "10.244.0.0", says: "must be a CIDR such as 203.0.113.0/24", at: "12:16"},
	{name: "pods and services overlap", old: "10.244.0.0/16", new: "10.96.128.0/17", says: "spec.network: Invalid value: a podCIDR and a serviceCIDR overlap: an address is a pod's or a Service's, not both", at: "11:3"},
	{name: "external range of pods", old: "203.0.113.0/24", new: "10.244.7.0/24", says: "an externalCIDR lies within a podCIDR: it would open one tenant's pods to another; name the peer Space in a flow instead", at: "11:3"},
	{name: "external range of services", old: "203.0.113.0/24", new: "10.96.0.1/32", says: "an externalCIDR lies within a serviceCIDR: policies see the pods behind a Service, never its address", at: "11:3"},
	{name: "metadata address", old: "203.0.113.0/24", new: "169.254.169.254/32", says: "an externalCIDR is a loopback, link-local or multicast range: there are the node itself and the cloud's credentials", at: "11:3"},
	{name: "IPv6 link-local", old: "203.0.113.0/24", new: "\"fe80::/10\"", says: "an externalCIDR is a loopback, link-local or multicast range", at: "11:3"},
	{name: "service without labels", old: "podLabels: {app: ingress}", new: "podLabels: {}", says: "spec.services[0].podLabels in body should have at least 1 properties", at: "16:"},
	{name: "flow of a tenant to itself", old: "{from: news, to: archive}", new: "{from: news, to: news}", says: "from and to are the same tenant: flows among a tenant's own Spaces are declared on the Spaces and need no permission of the platform", at: "18:7"},
	{name: "flow twice", old: "    - {from: news, to: archive}\n", new: "    - {from: news, to: archive}\n    - {to: archive, from: news}\n", says: "spec.flows[1]: Duplicate value", at: "19:7"},
	{name: "flow from everybody", old: "{from: news, to: archive}", new: "{from: \"*\", to: archive}", says: tenantID, at: "18:14"},
	{name: "node group twice", old: "    - {name: one, nodeLabels: {node.example.com/pool: one}}\n", new: "    - {name: one, nodeLabels: {a: b}}\n    - {name: one, nodeLabels: {c: d}}\n", says: `spec.nodeGroups[1]: Duplicate value: {"name":"one"}`, at: "21:7"},
	{name: "node group of all nodes", old: "nodeLabels: {node.example.com/pool: one}", new: "nodeLabels: {}", says: "spec.nodeGroups[0].nodeLabels in body should have at least 1 properties", at: "20:"},
	{name: "a group of Kubernetes", old: "group: example.com", new: "group: networking.k8s.io", says: "groups of Kubernetes itself (*.k8s.io, *.kubernetes.io) and of Bulkhead are not for tenants: they change what keeps tenants apart", at: "22:15"},
	{name: "a group of policies", old: "group: example.com", new: "group: cilium.io", says: "their controllers act with rights over all tenants", at: "22:15"},
	{name: "the group of Bulkhead", old: "group: example.com", new: "group: bulkhead.dev", says: "groups of Kubernetes itself (*.k8s.io, *.kubernetes.io) and of Bulkhead are not for tenants", at: "22:15"},
	{name: "a group without a dot", old: "group: example.com", new: "group: apps", says: "the group of a custom resource is a DNS name with a dot, such as example.com: groups without one are Kubernetes' own", at: "22:15"},
	{name: "every resource", old: "[widgets]", new: "[\"*\"]", says: "a resource is the lower-case plural such as widgets: no wildcard, and no subresource", at: "22:40"},
	{name: "a subresource", old: "[widgets]", new: "[widgets/status]", says: "no wildcard, and no subresource", at: "22:40"},
	{name: "a freshness of a second", old: "10m", new: "1s", says: "proofFreshness is a duration from 30s to 24h, such as 10m or 1h30m", at: "23:19"},
	{name: "a freshness in words", old: "10m", new: "ten minutes", says: "proofFreshness is a duration from 30s to 24h, such as 10m or 1h30m", at: "23:19"},
}

var waiverCases = []badCase{
	{name: "a control that keeps tenants apart", old: "control: images", new: "control: network-default", says: `spec.control: Unsupported value: "network-default": supported values: "images", "pod-security", "priority", "runtime", "scheduling", "service-expose", "storage", "token"`, at: "6:12"},
	{name: "every control", old: "control: images", new: "control: \"*\"", says: `spec.control: Unsupported value: "*"`, at: "6:12"},
	{name: "no expiry", old: "  expires: \"2030-06-30T00:00:00Z\"\n", new: "", says: "spec.expires: Required value", at: "5:1"},
	{name: "expiry in words", old: "\"2030-06-30T00:00:00Z\"", new: "never", says: `spec.expires in body must be of type date-time: "never"`, at: "11:12"},
	{name: "no reason", old: "  reason: The vendor publishes its engine only in its own registry.\n", new: "", says: "spec.reason: Required value", at: "5:1"},
	{name: "a reason without content", old: "The vendor publishes its engine only in its own registry.", new: "\"              x\"", says: "the reason is for the readers of reports: give at least 10 characters", at: "9:11"},
	{name: "look-alike approver", old: "security@example.com", new: "security@exаmple.com", says: "the approver is named in printable ASCII without spaces around it: letters that only look like others are refused", at: "10:13"},
	{name: "a workload of all", old: "workload: scans", new: "workload: \"*\"", says: `spec.workload: Invalid value: "*": ` + aLabel, at: "8:13"},
	{name: "a tenant of all", old: "tenant: archive", new: "tenant: \"\"", says: tenantID, at: "7:11"},
	{name: "name too long for a label", old: "  name: ocr-image\n", new: "  name: the-engine-of-the-vendor-that-publishes-only-in-a-registry-of-its-own\n", says: "a waiver's name has at most 63 lower-case letters, digits, hyphens and dots: it becomes a label's value", at: "4:9"},
}
