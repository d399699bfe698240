#!/usr/bin/env bash
# From a fresh checkout to a first store: builds dmstore and walks through create, sample, ingest, verify and info on
# generated data, showing every command before it runs. Takes a minute or two and changes nothing outside DIR, except
# that it installs the packages that a build needs where they are missing (root or sudo).
#
#   tools/quickstart.sh [--build-dir DIR]     DIR: default build/quickstart in the source tree
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=$source_dir/build/quickstart
case "${1-}" in
'') ;;
--build-dir) build_dir=${2:?--build-dir needs a directory} ;;
*)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
    [ "$1" = --help ] || [ "$1" = -h ] && exit 0
    exit 2
    ;;
esac

say() {
    printf '\n%s\n' "$*"
}

go() { # to a directory
    printf '  $ cd %s\n' "$1"
    cd "$1"
}

run() { # shows a command as it could be pasted, then runs it
    printf '  $ %s\n' "$*"
    "$@"
}

quietly() { # runs a step of the build; its output goes to a log that is shown when it fails
    local log=$build_dir/$1.log
    shift
    printf '  $ %s\n' "$*"
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log"
        echo "quickstart: this failed; all of its output is in $log" >&2
        exit 1
    }
}

say "1. What a build needs: a C compiler, autotools, LMDB, Zstandard, xxHash."
run "$source_dir/tools/install-dependencies.sh" build

say "2. Building in $build_dir."
mkdir -p "$build_dir"
build_dir=$(cd "$build_dir" && pwd)
go "$source_dir"
quietly autoreconf autoreconf -fi
go "$build_dir"
quietly configure "$source_dir/configure"
quietly make make -j"$(nproc)" all

rm -rf "$build_dir/example" # of an earlier run
mkdir "$build_dir/example"

say "3. A store for models trained on subsets of 2,000 training examples, with one output for each of 500 targets."
go "$build_dir/example"
PATH=$build_dir:$build_dir/tools/examples:$PATH
printf '  $ export PATH=%s:%s:$PATH\n' "$build_dir" "$build_dir/tools/examples"
run dmstore create runs.dms --examples 2000 --output test_margins:500:f16

say "4. Training subsets for 3,000 models, half of the examples each. A training job would take its own by --id."
run dmstore sample --examples 2000 --alpha 0.5 --count 3000 --seed 1 -o masks.npy

say "5. Outputs. No models are trained here: a small program makes up margins that depend on 20 examples a target."
run make_margins masks.npy test_margins.npy 500

say "6. Both files go into the store: bits are packed, margins rounded to float16, everything gets a checksum."
run dmstore ingest runs.dms --masks masks.npy --output test_margins=test_margins.npy

say "7. Every byte of the store is checked."
run dmstore verify runs.dms

say "8. What is in it, and what it takes on disk beside the files it came from."
run dmstore info runs.dms
run du -sh runs.dms masks.npy test_margins.npy

cat <<END

That was it. What to try next, in $build_dir/example:

  export PATH=$build_dir:\$PATH
  dmstore get runs.dms --id 7                            one model: its subset and its margins
  dmstore missing runs.dms --count 4000                  ids still to be trained, as ranges
  dmstore export runs.dms --masks back.npy --output test_margins=margins.npy && cmp back.npy masks.npy
  dmstore compact runs.dms --codec zstd:3                smaller, for the archive
  dmstore --help                                         all commands; each has --help and a man page

To install it under /usr/local:  make -C $build_dir install
To run all of its tests:         $source_dir/tools/check.sh
END
