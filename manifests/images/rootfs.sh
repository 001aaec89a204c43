#!/bin/sh
# Makes an image's root folder from a list such as servers.list.
# rootfs.sh LIST BUILD ROOT
set -eu
list=$1 build=$2 root=$3
rm -rf "$root"
mkdir -p "$root"

# What ldd says: "name => file (address)", and the loader as "file (address)".
libraries() {
	ldd "$root"/usr/bin/* | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' |
		sort -u
}

while read -r mode path file; do
	case $mode in
	'' | '#'*) continue ;;
	libraries)
		libraries | while read -r library; do
			install -D -m 0755 "$library" "$root$library"
		done
		continue
		;;
	esac
	case $file in
	@build/*) install -D -s -m "$mode" "$build/${file#@build/}" "$root$path" ;;
	*) install -D -m "$mode" "$file" "$root$path" ;;
	esac
done <"$list"
