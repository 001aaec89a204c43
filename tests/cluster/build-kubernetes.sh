#!/usr/bin/env bash
# Makes what the node needs from Debian's source package `kubernetes` (1.20.2, vendored), once: what is
# there is kept.
#
# build-kubernetes.sh FOLDER tools   the pause program, the messages of the container runtime interface
#                                    (cri_pb2.py), and kubectl of the package kubernetes-client, into
#                                    FOLDER/tools; a minute
# build-kubernetes.sh FOLDER         those, and kube-apiserver, kube-controller-manager and kubelet into
#                                    FOLDER/bin; about ten minutes on two cores
set -euo pipefail
folder=$1
programs="kube-apiserver kube-controller-manager kubelet"
result=bin
[ "${2:-}" = tools ] && result=tools
mkdir -p "$folder"

# One build at a time; who comes second finds it done.
exec 9>"$folder/lock"
flock 9
[ -e "$folder/$result/complete" ] && exit 0

work=$(mktemp -d "$folder/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The source package comes from where this machine's binary packages come from; apt's own
# configuration is left alone.
mkdir -p "$work/lists/partial" "$work/parts"
apt-get indextargets --format 'deb-src $(REPO_URI) $(CODENAME) $(COMPONENT)' \
	'Origin: Debian' 'Created-By: Packages' | sort -u |
	sed "s|^deb-src |deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] |" \
		>"$work/sources.list"
options=(-o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/parts"
	-o "Dir::State::lists=$work/lists" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
	-o "APT::Sandbox::User=root" -qq)
apt-get "${options[@]}" update
mkdir "$work/source"
(cd "$work/source" && apt-get "${options[@]}" source kubernetes >/dev/null)
tree=$(echo "$work"/source/kubernetes-*/)

mkdir "$work/bin"
sed /gogoproto/d "$tree/staging/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto" >"$work/cri.proto"
protoc -I "$work" --python_out="$work/bin" "$work/cri.proto"
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download kubernetes-client && dpkg-deb -x kubernetes-client_*.deb client)
cp "$work/client/usr/bin/kubectl" "$work/bin/"
pause=$tree/build/pause/pause.c
[ -e "$pause" ] || pause=$tree/build/pause/linux/pause.c
gcc -static -Os -o "$work/bin/pause" "$pause"
if [ $result = tools ]; then
	touch "$work/bin/complete"
	mv "$work/bin" "$folder/tools"
	exit 0
fi

# The reflect2 of that time reads Go's maps as they were before Go 1.18: with a newer one the API
# server crashes now and then. Debian's own package of it knows better.
rm -rf "$tree/vendor/github.com/modern-go/reflect2"
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 "$tree/vendor/github.com/modern-go/"

# Nor does its validation of custom resources know that Go's zero values are all in one place now: an
# empty string would count as null.
sed -i 's/ || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data))//' \
	"$tree/vendor/github.com/go-openapi/validate/type.go" \
	"$tree/vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go"

# Kubernetes' own makefile wants to find itself in a GOPATH.
mkdir -p "$work/go/src/k8s.io"
ln -s "$tree" "$work/go/src/k8s.io/kubernetes"
cd "$work/go/src/k8s.io/kubernetes"
export GOPATH="$work/go" GOCACHE="$work/go-cache" GO111MODULE=off GOFLAGS= CGO_ENABLED=0
export PATH="/usr/lib/go-1.19/bin:$PATH" KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_COMMIT=debian \
	KUBE_GIT_TREE_STATE=archive KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
# Without cgo all are static; told so, the kubelet is built along with the others, not after them.
export KUBE_STATIC_OVERRIDES=kubelet
what=
for program in $programs; do what="$what cmd/$program"; done
make WHAT="${what# }"
for program in $programs; do
	cp "$(find -L _output -path "*/bin/*" -name "$program" -type f | head -1)" "$work/bin/"
done
strip "$work"/bin/kube* "$work/bin/pause"
touch "$work/bin/complete"
mv "$work/bin" "$folder/bin"
