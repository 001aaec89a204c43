#!/bin/sh
# Unpacks the packages that the servers are built with, for another architecture, into ROOT, for a cross
# compiler's --sysroot. The machine's own packages are left alone. What is there is kept.
# sysroot.sh ARCHITECTURE ROOT PACKAGE...
set -eu
architecture=$1 root=$(realpath -m "$2")
shift 2
[ "$(cat "$root/.complete" 2>/dev/null)" = "$*" ] && exit 0
state=$root.apt
rm -rf "$root" "$state"
mkdir -p "$root/usr/lib" "$root/var/lib/dpkg/info" "$state/lists/partial" "$state/cache/archives/partial"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
: >"$state/status"
apt() {
	apt-get -qq -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" \
		-o "Dir::State::Lists=$state/lists" -o "Dir::State::status=$state/status" \
		-o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
apt update
apt install --download-only --yes --no-install-recommends libc6-dev "$@" >/dev/null
for package in "$state"/cache/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
	# As much of dpkg's database as rootfs.sh asks for.
	name=$(dpkg-deb -f "$package" Package)
	[ "$(dpkg-deb -f "$package" Multi-Arch)" = same ] && name=$name:$architecture
	dpkg-deb --fsys-tarfile "$package" | tar -t | sed -n 's|/$||; s|^\./|/|p' \
		>"$root/var/lib/dpkg/info/$name.list"
	{
		dpkg-deb -f "$package" Package
		echo "Status: install ok installed"
		dpkg-deb -f "$package" | sed 1d
		echo
	} | sed '1s/^/Package: /' >>"$root/var/lib/dpkg/status"
done
echo "$architecture" >"$root/var/lib/dpkg/arch"
echo 1 >"$root/var/lib/dpkg/info/format"
rm -rf "$state"
echo "$*" >"$root/.complete"
