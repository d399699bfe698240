#!/usr/bin/env bash
# Stores that claim to be of a later format: refused, read only, or used, as their version and feature bits say, by every
# command that opens one, and never changed.
source "$(dirname "$0")/tap.sh"
PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c 'import xxhash' 2>/dev/null; then
    echo "1..0 # SKIP $PYTHON has no xxhash"
    exit 0
fi

# make STORE FIELD VALUE: a store whose segments all have that value at that offset of the segment payload, hashes true
make() {
    dmstore create "$1" --examples 10 --output margins:2
    printf '{"id": %d, "mask": [1, 2]}\n' 1 2 3 | dmstore append "$1" --format jsonl >/dev/null
    dmstore seal "$1" >/dev/null
    "$PYTHON" - "$1" "$2" "$3" <<'END'
import glob, struct, sys, xxhash
for path in glob.glob(sys.argv[1] + "/segments/*.dms"):
    data = bytearray(open(path, "rb").read())
    length = struct.unpack_from("<Q", data, 32)[0]
    struct.pack_into("<I" if sys.argv[2] in ("40", "44") else "<Q", data, 128 + int(sys.argv[2]), int(sys.argv[3]))
    struct.pack_into("<Q", data, 40, xxhash.xxh3_64_intdigest(bytes(data[128:128 + length])))
    struct.pack_into("<Q", data, 120, xxhash.xxh3_64_intdigest(bytes(data[:120])))
    open(path, "wb").write(data)
END
}
digest() { find "$1/segments" -type f -exec sha256sum {} + | sort; }

# refuses STORE WHAT: opening fails, says that the store is newer and what to do
refuses() {
    local before
    before=$(digest "$1")
    check_error "$2: info" 1 "update dmstore" dmstore info "$1"
    check_error "$2: export" 1 "update dmstore" dmstore export "$1" --masks masks.npy
    check_error "$2: append" 1 "update dmstore" dmstore append "$1" --format jsonl <<<'{"id": 9, "mask": []}'
    check_error "$2: append to a spool" 1 "update dmstore" dmstore append "$1" --spool spool --format jsonl \
        <<<'{"id": 9, "mask": []}'
    mv "$1/lmdb" "$1/lmdb.away"
    check_error "$2: recover" 1 "update dmstore" dmstore recover "$1"
    if [ "$before" = "$(digest "$1")" ]; then
        pass "$2: the segments are what they were"
    else
        fail "$2: the segments are what they were"
    fi
}
make major 40 2
refuses major "major version 2"
make incompatible 64 4
refuses incompatible "an incompatible feature"

make minor 44 7
check "minor version 7 can be read" dmstore export minor --masks masks.npy
make compatible 48 1
check "an unknown compatible feature can be read" dmstore export compatible --masks masks.npy
make read_only 56 2
check "a store that may only be read can be read" dmstore export read_only --masks masks.npy
before=$(digest read_only)
check_error "but not written" 1 "newer dmstore" dmstore append read_only --format jsonl <<<'{"id": 9, "mask": []}'
if [ "$before" = "$(digest read_only)" ]; then pass "and was not"; else fail "and was not"; fi
done_testing
