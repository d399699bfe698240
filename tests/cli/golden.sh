#!/usr/bin/env bash
# The stores that format version 1.0 left in tests/data/golden-1.0 open, verify and export as they did when they were made:
# through the index they came with, after recover, after compact, and through the independent reader.
source "$(dirname "$0")/tap.sh"
golden=$DMSTORE_SOURCE_DIR/tests/data/golden-1.0
PYTHON=${PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1

copy() { # NAME: a store that can be written, with the index where it was committed
    rm -rf "$1"
    cp -R "$golden/$1" "$1"
    chmod -R u+w "$1"
    gunzip "$1/lmdb/data.mdb.gz"
}

# exports_the_same DESCRIPTION STORE: what dmstore exports has the hashes that it had.
exports_the_same() {
    local columns name kind
    rm -rf ours
    mkdir ours
    columns=$(awk '{ sub(/\.npy$/, "", $2); print $2 }' "$golden/$2.sha256" | while read -r name; do
        case $name in
        masks | ids) echo "--$name ours/$name.npy" ;;
        halves | singles | levels | hits | late) echo "--output $name=ours/$name.npy" ;;
        *) echo "--scalar $name=ours/$name.npy" ;;
        esac
    done)
    run dmstore export "$2" --fill-missing $columns
    if [ "$status" -eq 0 ] && (cd ours && sha256sum --quiet -c "$golden/$2.sha256") >"$stdout_file" 2>&1; then
        pass "$1"
    else
        fail "$1" "$(cat "$stderr_file" "$stdout_file")"
    fi
}

for store in grown compacted; do
    copy "$store"
    check "$store: verify finds nothing wrong" dmstore verify "$store"
    exports_the_same "$store: exports what it did" "$store"
    rm -rf "$store/lmdb"
    check "$store: recover makes an index from the segments alone" dmstore recover "$store"
    check "$store: and verify finds nothing wrong" dmstore verify "$store"
    exports_the_same "$store: and it exports what it did" "$store"
    check "$store: it can be compacted" dmstore compact "$store" --codec zstd:1 --all
    exports_the_same "$store: and exports what it did" "$store"
    check "$store: it can be written" eval "echo '{\"id\": 1000, \"mask\": [202]}' | dmstore append $store --format jsonl"

    if "$PYTHON" -c 'import numpy, zstandard, xxhash' 2>/dev/null; then
        rm -rf theirs
        check "$store: the independent reader reads it" "$PYTHON" "$DMSTORE_SOURCE_DIR/tests/reader/reader.py" \
            "$golden/$store" --export theirs
        check "$store: and exports the same" eval '(cd theirs && sha256sum --quiet -c "$golden/$store.sha256")'
    else
        skip "$store: the independent reader reads it" "$PYTHON lacks numpy, zstandard or xxhash"
        skip "$store: and exports the same" "$PYTHON lacks numpy, zstandard or xxhash"
    fi
done

copy grown
rm -rf grown/lmdb
cp -R "$golden/spool" spool
chmod -R u+w spool
check "grown: recover, once more" dmstore recover grown
check "a spool file of that version is collected" dmstore ingest grown --spool spool
check "and its rows are there" dmstore get grown --id 61 --output halves
done_testing
