#!/bin/sh
# Writes ROOT/usr/share/doc/lastword/sbom.spdx.json: what an image consists of, as SPDX 2.3, from the
# packages that rootfs.sh noted in it.
#
# sbom.sh IMAGE VERSION ROOT
# SOURCE_DATE_EPOCH: the time that it names (default: 0, so that the same files make the same SBOM).
set -eu
image=$1 version=$2 root=$3
created=$(date -u -d "@${SOURCE_DATE_EPOCH:-0}" +%Y-%m-%dT%H:%M:%SZ)
target=$root/usr/share/doc/lastword/sbom.spdx.json

# One package, as a member of the list "packages": name, version, supplier, licence, purl.
package() {
	printf '    {"SPDXID": "SPDXRef-%s", "name": "%s", "versionInfo": "%s", "supplier": "%s",\n' \
		"$(echo "$1" | tr -c 'A-Za-z0-9.\n' -)" "$1" "$2" "$3"
	printf '     "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "licenseConcluded": "NOASSERTION",\n'
	printf '     "licenseDeclared": "%s", "copyrightText": "NOASSERTION",\n' "$4"
	printf '     "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",\n'
	printf '                       "referenceLocator": "%s"}]}' "$5"
}

field() {
	sed -n "s/^$1: //p" "$2"
}

{
	printf '{\n  "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",\n'
	printf '  "name": "lastword-%s-%s",\n' "$image" "$version"
	printf '  "documentNamespace": "https://lastword.dev/spdx/%s-%s-%s",\n' "$image" "$version" \
		"$(cat "$root"/var/lib/dpkg/status.d/* | sha256sum | cut -c1-16)"
	printf '  "creationInfo": {"created": "%s", "creators": ["Tool: sbom.sh", "Organization: lastword"]},\n' \
		"$created"
	printf '  "packages": [\n'
	package lastword "$version" "Organization: lastword" Apache-2.0 "pkg:generic/lastword@$version"
	for file in "$root"/var/lib/dpkg/status.d/*; do
		name=$(field Package "$file") debian=$(field Version "$file")
		printf ',\n'
		package "$name" "$debian" "Organization: Debian" NOASSERTION \
			"pkg:deb/debian/$name@$(echo "$debian" | sed 's/+/%2B/g; s/:/%3A/g; s/~/%7E/g')?arch=$(field Architecture "$file")&distro=bookworm"
	done
	printf '\n  ],\n  "relationships": [\n'
	printf '    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-lastword"}'
	for file in "$root"/var/lib/dpkg/status.d/*; do
		printf ',\n    {"spdxElementId": "SPDXRef-lastword", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": "SPDXRef-%s"}' \
			"$(field Package "$file" | tr -c 'A-Za-z0-9.\n' -)"
	done
	printf '\n  ]\n}\n'
} >"$target"
