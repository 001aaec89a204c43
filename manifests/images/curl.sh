#!/bin/sh
# Builds a static libcurl for the servers' image, once, from Debian's source package: HTTP and TLS, and
# nothing of what else Debian's libcurl can do (LDAP, RTMP, SSH, Kerberos, HTTP/2, compression, FTP …),
# which would bring twenty libraries into the image. The headers are those of Debian's libcurl.
#
# curl.sh FOLDER: FOLDER/libcurl.a, and the source's version in FOLDER/version
# CC: a cross compiler, if any.
set -eu
folder=$(realpath -m "$1")
cc=${CC:-gcc}
[ -e "$folder/libcurl.a" ] && exit 0
work=$folder/work
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/parts"

# The source comes from where this machine's binary packages come from; apt's own configuration is left
# alone.
apt-get indextargets --format 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(CODENAME) $(COMPONENT)' \
	'Origin: Debian' 'Created-By: Packages' | sort -u >"$work/sources.list"
apt() {
	apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/parts" \
		-o "Dir::State::lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
		-o APT::Sandbox::User=root "$@"
}
apt update
(cd "$work" && apt source curl >/dev/null 2>&1)
cd "$work"/curl-*/
dpkg-parsechangelog -S Version >"$folder/version"

flags="-O2 -g -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fstack-clash-protection
	-ffile-prefix-map=$PWD=curl"
# shellcheck disable=SC2086 # a compiler with arguments
machine=$($cc -dumpmachine)
./configure --quiet --host="$machine" CC="$cc" CFLAGS="$(echo $flags)" \
	--disable-shared --enable-static --with-openssl --enable-http --enable-threaded-resolver \
	--disable-ftp --disable-file --disable-ldap --disable-ldaps --disable-rtsp --disable-dict \
	--disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb --disable-smtp \
	--disable-gopher --disable-mqtt --disable-manual --disable-ntlm --disable-ntlm-wb \
	--disable-tls-srp --disable-alt-svc --disable-hsts --disable-netrc --disable-cookies \
	--without-zlib --without-brotli --without-zstd --without-nghttp2 --without-libssh2 \
	--without-librtmp --without-libpsl --without-libidn2 --without-gssapi \
	--with-ca-bundle=/etc/ssl/certs/ca-certificates.crt >/dev/null
make -s -C lib -j2 libcurl.la >/dev/null 2>&1
cp lib/.libs/libcurl.a "$folder/libcurl.a"
cd /
rm -rf "$work"
