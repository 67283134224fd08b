#!/bin/sh
# Builds BUILD/leat_VERSION_ARCHITECTURE.deb from the built program: packaging/deb.sh BUILD VERSION.
# Called by `make deb`. Needs dpkg-deb; what the package depends on is read from the program.
set -eu
build=$1 version=$2
architecture=$(dpkg --print-architecture)
root=$build/deb
rm -rf "$root"
${MAKE:-make} --no-print-directory BUILD="$build" DESTDIR="$root" PREFIX=/usr install >/dev/null
strip --strip-unneeded "$root/usr/bin/leat"
gzip -9n "$root/usr/share/man/man1/leat.1"
printf 'leat (%s) unstable; urgency=low\n\n  * See README.md.\n\n -- leat <leat@localhost>  %s\n' \
    "$version" "$(date -R)" | gzip -9n >"$root/usr/share/doc/leat/changelog.gz"

# The package that owns each library the program was linked with, at least in the version here.
depends=
for library in $(ldd "$root/usr/bin/leat" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p'); do
    package=$(dpkg-query -S "$(realpath "$library")" 2>/dev/null | head -1 | sed 's/:.*//') || continue
    [ -n "$package" ] || continue
    at_least=$(dpkg-query -W -f='${Version}' "$package" | head -1 | sed 's/^\([0-9:.]*[0-9]\).*/\1/')
    case ", $depends," in
    *", $package ("*) ;;
    *) depends="${depends:+$depends, }$package (>= $at_least)" ;;
    esac
done

mkdir -p "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: leat
Version: $version
Architecture: $architecture
Maintainer: leat <leat@localhost>
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: $depends
Section: utils
Priority: optional
Description: streaming ETL: read, filter, derive, convert and load records
 leat runs pipelines given as one line or as a file: records from files, pipes and
 databases through filters and expressions into files, pipes and databases, at the speed
 of memory, in bounded memory, with a ledger in which every record ends in one place.
CONTROL
package=$build/leat_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
rm -rf "$root"
echo "$package"
