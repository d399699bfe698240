#!/usr/bin/env bash
# Keeps the order of the layers true by looking at every #include of the product's sources:
#   base <- kernels <- format <- store <- reader <- solver <- query   a layer includes itself and those before it
#   public headers include public headers; tools include public headers and their own
#   lmdb.h is included by src/store/index.c alone
# Reads the source tree only ($srcdir, or the working directory).
set -u

source_dir=${srcdir:-.}

# Prints "FILE: includes HEADER" for each #include in the tree $1 that breaks a rule.
wrong_includes() {
    (cd "$1" && find include src format kernels tools -name '*.[ch]' -exec grep -EHo \
        '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' {} +) | awk '
        BEGIN {
            split("base kernels format store reader solver query", layers)
            for (i in layers)
                rank[layers[i]] = i
        }
        # The layer of a file or header, "own" for a header beside the file, "" for one of the system.
        function layer_of(path, first, parts) {
            sub(/^src\//, "", path)
            split(path, parts, "/")
            first = parts[1]
            if (path == "dmstore.h" || first == "dmstore" || first == "include")
                return "public"
            if (first in rank || first == "tools")
                return first
            return path ~ /\// ? "" : "own"
        }
        {
            colon = index($0, ":")
            file = substr($0, 1, colon - 1)
            header = substr($0, colon + 1)
            quoted = header ~ /"/
            sub(/^.*[<"]/, "", header)
            from = layer_of(file)
            to = layer_of(header)
            if (header == "lmdb.h")
                allowed = file == "src/store/index.c"
            else if (header == "config.h")
                allowed = from != "public"
            else if (!quoted && (to == "" || to == "own"))
                allowed = 1
            else if (to == "public" || to == "own")
                allowed = 1
            else if (from in rank && to in rank)
                allowed = rank[to] <= rank[from]
            else
                allowed = from == to
            if (!allowed)
                print file ": includes " header
        }'
}

# A tree of one file, $1, that includes $2 (with its quotes or angle brackets): prints what is wrong with it.
wrong_in_planted() {
    rm -rf "$planted"
    mkdir -p "$planted"/{include,src,format,kernels,tools} "$(dirname "$planted/$1")"
    echo "#include $2" >"$planted/$1"
    wrong_includes "$planted"
}

test_ct=0
failed_ct=0
report() { # DESCRIPTION WRONG-LINES: passes when there are none
    test_ct=$((test_ct + 1))
    if [ -z "$2" ]; then
        echo "ok $test_ct - $1"
    else
        echo "not ok $test_ct - $1"
        echo "$2" | sed 's/^/# /'
        failed_ct=$((failed_ct + 1))
    fi
}

planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT

report "every #include follows the order of the layers" "$(wrong_includes "$source_dir")"
report "src/store/index.c includes lmdb.h" \
    "$(grep -q '#include <lmdb\.h>' "$source_dir/src/store/index.c" || echo "it does not")"

# The rules themselves: each of these must be found, and the good ones must not.
while read -r file header; do
    report "a planted '$header' in $file is found" "$([ -n "$(wrong_in_planted "$file" "$header")" ] || echo "not found")"
done <<'BAD'
src/base/pool.c "format/layout.h"
kernels/ref/bits.c "format/layout.h"
format/layout.c "store/index.h"
src/store/write.c "tools/options.h"
src/store/write.c "reader/source.h"
src/reader/gather.c "solver/problem.h"
src/solver/block.c "query/scores.h"
kernels/ref/bits.c "reader/order.h"
src/store/write.c <lmdb.h>
tools/verify.c "base/error.h"
tools/verify.c "store/index.h"
tools/verify.c <base/error.h>
include/dmstore/store.h "base/error.h"
include/dmstore/store.h "config.h"
BAD
while read -r file header; do
    report "'$header' in $file is allowed" "$(wrong_in_planted "$file" "$header")"
done <<'GOOD'
src/base/error.h <dmstore/error.h>
src/base/pool.c <sys/types.h>
format/codec.h "kernels/kernels.h"
src/store/index.c <lmdb.h>
src/reader/gather.c "kernels/lanes.h"
src/reader/source.c "store/snapshot.h"
src/query/scores.c "solver/problem.h"
tools/verify.c "options.h"
include/dmstore/store.h "dmstore/error.h"
GOOD

echo "1..$test_ct"
[ "$failed_ct" -eq 0 ]
