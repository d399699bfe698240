#!/usr/bin/env bash
# Installs the Debian packages that dmstore needs, those that are missing only. Shared by check.sh and quickstart.sh.
#
#   tools/install-dependencies.sh build    what a build from a source checkout needs
#   tools/install-dependencies.sh check    that, and what the tests need
#
# The module for NVIDIA cards is built where an nvcc is found; that comes from NVIDIA and is not installed here.
#
# Needs root or sudo only when something is missing. Other systems: install the same things by their names there.
set -euo pipefail

build_packages=(
    build-essential autoconf automake libtool pkg-config liblmdb-dev libzstd-dev libxxhash-dev
    libopenblas0-pthread libarpack2-dev # loaded by the commands that need linear algebra
)
check_packages=(
    clang libclang-rt-dev                              # second compiler, its sanitizers and libFuzzer
    valgrind
    python3 python3-numpy python3-zstandard python3-xxhash # the independent reader of the format
    python3-sklearn                                    # the independent LASSO (240 MB with what it needs)
    mandoc                                             # checks the man pages
    chromium                                           # looks at the pages that `dmstore report` writes
    procps util-linux
)

case "${1-}" in
build) packages=("${build_packages[@]}") ;;
check) packages=("${build_packages[@]}" "${check_packages[@]}") ;;
*)
    echo "usage: tools/install-dependencies.sh build|check" >&2
    exit 2
    ;;
esac

if ! command -v apt-get >/dev/null; then
    echo "install-dependencies: no apt-get here; going on with what is installed. On Debian it would be:"
    echo "  ${packages[*]}"
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-dependencies: neither root nor sudo. Ask an administrator for:" >&2
        echo "  apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "install-dependencies: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
