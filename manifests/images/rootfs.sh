#!/bin/sh
# Makes an image's root folder from a list such as servers.list: files, the libraries that its programs
# need, and of each Debian package that a file is from the licence texts and the entry that scanners look
# for (/var/lib/dpkg/status.d). Nothing of the architecture is run, so any can be made on any machine.
#
# rootfs.sh LIST BUILD ROOT
# SYSROOT=FOLDER: libraries and packages are those in FOLDER (sysroot.sh), not the machine's.
# STRIP=PROGRAM: of the architecture (default: strip). VERSION: of lastword.
set -eu
list=$1 build=$2 root=$3
sysroot=${SYSROOT:-}
rm -rf "$root"
mkdir -p "$root"
packages=$root.packages
: >"$packages"
: >"$packages.versions"

# The folder of the architecture's libraries, by what readelf says of a program.
triplet() {
	case $(readelf -h "$1" | sed -n 's/^ *Machine: *//p') in
	*X86-64) echo x86_64-linux-gnu ;;
	AArch64) echo aarch64-linux-gnu ;;
	*)
		echo "rootfs.sh: $1: expected a program for x86-64 or AArch64" >&2
		exit 1
		;;
	esac
}

# The libraries that the files in $1 name, and the loader, as paths.
needed() {
	for file in $1; do
		folder=/lib/$(triplet "$file")
		readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r name; do
			# The loader is there by then, under the path that the program names.
			case $name in ld-linux*) continue ;; esac
			[ -e "$sysroot$folder/$name" ] && echo "$folder/$name" && continue
			[ -e "$sysroot/usr$folder/$name" ] && echo "/usr$folder/$name" && continue
			[ -e "$sysroot/lib/$name" ] && echo "/lib/$name" && continue
			echo "rootfs.sh: $file needs $name, which is not there" >&2
			exit 1
		done
		readelf -l "$file" | sed -n 's/.*Requesting program interpreter: \(.*\)\]/\1/p'
	done
}

# What ldd does, without running a program: the libraries of the libraries, until no new ones come.
libraries() {
	found='' next="$root/usr/bin/*"
	while [ -n "$next" ]; do
		new=''
		needed "$next" >"$packages.needed"
		for library in $(sort -u "$packages.needed"); do
			case " $found " in
			*" $library "*) ;;
			*) found="$found $library" new="$new $sysroot$library" ;;
			esac
		done
		next=$new
	done
	rm "$packages.needed"
	echo "$found" | tr ' ' '\n' | sed '/^$/d' | sort
}

database() {
	dpkg-query ${sysroot:+--admindir="$sysroot/var/lib/dpkg"} "$@"
}

# The package that a file of the machine, or of SYSROOT, is from. Debian has moved /lib into /usr.
note_package() {
	real=$(realpath "$sysroot$1")
	real=${real#"$sysroot"}
	name=$(database -S "$real" 2>/dev/null || database -S "${real#/usr}" 2>/dev/null) || {
		echo "rootfs.sh: no package has $1" >&2
		exit 1
	}
	echo "${name%%: *}" >>"$packages"
}

while read -r mode path file; do
	case $mode in
	'' | '#'*) continue ;;
	libraries)
		libraries >"$packages.libraries"
		while read -r library; do
			install -D -m 0755 "$sysroot$library" "$root$library"
			note_package "$library"
		done <"$packages.libraries"
		rm "$packages.libraries"
		continue
		;;
	package) # linked into a program, or the source of what is copied below
		echo "$path" >>"$packages"
		[ -z "$file" ] || echo "$path $(cat "$build/${file#@build/}")" >>"$packages.versions"
		continue
		;;
	esac
	case $file in
	@build/*)
		install -D -m "$mode" "$build/${file#@build/}" "$root$path"
		"${STRIP:-strip}" "$root$path"
		;;
	*) install -D -m "$mode" "$file" "$root$path" ;;
	esac
done <"$list"

install -D -m 0644 LICENSE "$root/usr/share/doc/lastword/copyright"
sort -u "$packages" -o "$packages"
while read -r package; do
	from=$sysroot admin=database
	[ -e "$from/usr/share/doc/${package%%:*}/copyright" ] || from='' admin=dpkg-query
	# A machine may have a package of several architectures.
	own=$package:$(dpkg --print-architecture)
	[ -z "$from" ] && dpkg-query -W "$own" >/dev/null 2>&1 && package=$own
	name=${package%%:*}
	install -D -m 0644 "$from/usr/share/doc/$name/copyright" "$root/usr/share/doc/$name/copyright"
	mkdir -p "$root/var/lib/dpkg/status.d"
	# shellcheck disable=SC2016 # dpkg-query's own variables
	$admin -W -f 'Package: ${Package}\nStatus: install ok installed\nArchitecture: ${Architecture}\nVersion: ${Version}\nSource: ${source:Package}\nMaintainer: ${Maintainer}\nDescription: ${binary:Synopsis}\n' \
		"$package" >"$root/var/lib/dpkg/status.d/$name"
done <"$packages"
while read -r name version; do
	sed -i "s/^Version: .*/Version: $version/" "$root/var/lib/dpkg/status.d/$name"
done <"$packages.versions"
manifests/images/sbom.sh "$(basename "$root")" "${VERSION:-0}" "$root"
rm "$packages" "$packages.versions"
