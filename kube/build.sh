#!/usr/bin/env bash
# Builds bin/kube and the symlinks in bin/k8s. Does nothing when they are up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(dirname "$here")/bin
stamp=$bin/.kube.stamp
links=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl)
# What a build takes when Go has nothing in its cache, in seconds of one core.
cold=450

main() {
	cd "$here"
	# The folder may be part of a workspace one day; this module must not be.
	export GOWORK=off CGO_ENABLED=0
	mkdir -p "$bin/k8s"
	# A cold build takes minutes: a second caller waits for the first one's result.
	if command -v flock >/dev/null; then
		exec 9>"$bin/.kube.lock"
		flock 9
	fi
	local inputs
	inputs=$(fingerprint)
	if [[ -x $bin/kube && -f $stamp && $(<"$stamp") == "$inputs" ]]; then
		link
		return
	fi
	rm -f "$stamp"
	compile
	link
	printf '%s\n' "$inputs" >"$stamp"
}

# fingerprint names everything the binary depends on: dependencies are pinned by go.sum.
fingerprint() {
	local file
	{
		go env GOVERSION GOOS GOARCH
		for file in *.go go.mod go.sum build.sh; do
			[[ $file == *_test.go ]] || printf '%s %s\n' "$file" "$(cksum <"$file")"
		done
	} | cksum
}

link() {
	local name
	for name in "${links[@]}"; do
		[[ $(readlink "$bin/k8s/$name" || true) == ../kube ]] || ln -sfn ../kube "$bin/k8s/$name"
	done
}

# flags tells Kubernetes its version, which it otherwise believes to be v0.0.0-master.
flags() {
	local version pkg major minor
	version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
	IFS=. read -r major minor _ <<<"${version#v}"
	printf -- '-s -w'
	for pkg in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		printf -- ' -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s' \
			"$pkg" "$version" "$pkg" "$major" "$pkg" "$minor"
	done
}

# Packages of which little runs in a cluster without kubelets: without inlining they compile in a tenth to a third less time.
seldom=(
	k8s.io/client-go/applyconfigurations/... k8s.io/kubernetes/pkg/kubelet/... k8s.io/kubectl/... sigs.k8s.io/kustomize/...
	github.com/google/cadvisor/... go.opentelemetry.io/otel/semconv/...
)

compile() {
	local ldflags work total pid cores package
	ldflags=$(flags)
	# Debug information is for debuggers, and the binary has none in the end.
	local gcflags=(-gcflags=all=-dwarf=false)
	for package in "${seldom[@]}"; do gcflags+=("-gcflags=$package=-dwarf=false -l"); done
	work=$(mktemp -d "$bin/.build.XXXXXX")
	# $work is expanded now: it is local, and the trap runs after main returned.
	trap "rm -rf '$work'" EXIT
	trap 'kill "${pid:-}" 2>/dev/null; exit 130' INT TERM
	cores=$(getconf _NPROCESSORS_ONLN)
	printf 'kube: building %s: about %d minutes the first time, if the %d cores of this machine are free\n' \
		"$bin/kube" "$((cold / cores / 60 + 1))" "$cores" >&2
	total=$(go list -mod=readonly -deps . | wc -l)
	: >"$work/log" # progress may read it before the build has begun
	# -v prints one line for each package that is compiled rather than taken from the cache.
	# The compiler spends a quarter of its time on garbage unless it may take more memory, up to the limit.
	GOGC=400 GOMEMLIMIT=2GiB \
		go build -mod=readonly -trimpath -buildvcs=false -v "${gcflags[@]}" -ldflags "$ldflags" -o "$work/kube" . 2>"$work/log" 9>&- &
	pid=$!
	progress "$pid" "$work/log" "$((total))"
	if ! wait "$pid"; then
		grep -Ev '^[A-Za-z0-9._/-]+$' "$work/log" >&2 || true
		echo "kube: the build failed" >&2
		return 1
	fi
	# A rename is atomic, so processes that run the old binary keep it.
	mv -f "$work/kube" "$bin/kube"
	echo "kube: built in ${SECONDS}s" >&2
}

# progress reports on one line that is rewritten on a terminal, and every 15 s otherwise.
progress() {
	local pid=$1 log=$2 total=$3 tick=1 end='\n' line last=0
	if [[ -t 2 ]]; then end='\r'; fi
	while kill -0 "$pid" 2>/dev/null; do
		if [[ -t 2 ]] || ((SECONDS - last >= 15)); then
			last=$SECONDS
			printf -v line 'kube: %d of at most %d packages compiled, %ds' "$(wc -l <"$log")" "$total" "$SECONDS"
			printf "%s$end" "$line" >&2
		fi
		sleep "$tick"
	done
	if [[ -t 2 ]]; then echo >&2; fi
}

main
