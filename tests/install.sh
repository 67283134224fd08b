#!/bin/sh
# Installs into a folder of its own and builds the Debian package, and looks at both:
# tests/install.sh MAKE BUILD. Prints "N passed, N failed".
set -u
make=$1 build=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0
# expect WHAT COMMAND…: one test
expect() {
    what=$1
    shift
    if "$@" >"$folder/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what: $*"
        tail -5 "$folder/log"
    fi
}
at=$folder/root/usr
expect 'make install' "$make" BUILD="$build" DESTDIR="$folder/root" PREFIX=/usr install
expect 'the installed program runs' "$at/bin/leat" version
expect 'the man page formats without a warning' sh -c \
    '! command -v man >/dev/null || test -z "$(man --warnings -l "$1" 2>&1 >/dev/null)"' sh \
    "$at/share/man/man1/leat.1"
expect 'the man page names the program' grep -q 'leat' "$at/share/man/man1/leat.1"
expect 'bash reads the completion' bash -n "$at/share/bash-completion/completions/leat"
expect 'zsh reads the completion' sh -c '! command -v zsh >/dev/null || zsh -n "$1"' sh \
    "$at/share/zsh/vendor-completions/_leat"
expect 'fish reads the completion' sh -c '! command -v fish >/dev/null || fish -n "$1"' sh \
    "$at/share/fish/vendor_completions.d/leat.fish"
expect 'the license is there' test -s "$at/share/doc/leat/copyright"
expect 'make uninstall' "$make" BUILD="$build" DESTDIR="$folder/root" PREFIX=/usr uninstall
expect 'nothing is left' test -z "$(find "$folder/root" -name '*leat*')"
if command -v dpkg-deb >/dev/null; then
    expect 'make deb' "$make" BUILD="$build" deb
    package=$(ls "$build"/leat_*.deb 2>/dev/null | head -1)
    expect 'the package is whole' dpkg-deb --info "$package"
    expect 'the package unpacks' dpkg-deb -x "$package" "$folder/deb"
    expect 'the packaged program runs' "$folder/deb/usr/bin/leat" version
    expect 'the packaged man page is there' test -s "$folder/deb/usr/share/man/man1/leat.1.gz"
else
    echo 'skipped: no dpkg-deb here'
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
