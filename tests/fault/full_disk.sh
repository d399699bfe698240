#!/usr/bin/env bash
# Stores where the machine does not give what they need: a full disk, a directory without permission, a network file system,
# little address space, few open files. Each is a clear error that names the file and changes nothing; once the need is met,
# the same command succeeds.
source "$(dirname "$0")/../cli/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

# ---- a full disk ---------------------------------------------------------------------------------------------------

work_dir=$(cd "$work_dir" && pwd -P)
cd "$work_dir" || exit 1
disk=$work_dir/disk
dmstore sample --examples 20 --alpha 0.5 --seed 7 --first-id 5000 --count 4000 -o masks.npy
rows_of() { # FIRST LAST
    seq -f '{"id": %.0f, "mask": [1, 2, 3], "outputs": {"margins": [1, 2, 3]}}' "$1" "$2"
}
rows_of 1000 3000 >rows
full_ct=0

disk_cleanup() {
    umount "$disk" 2>/dev/null
}
trap 'disk_cleanup; chmod -R u+w "$work_dir"; rm -rf "$work_dir" "$stdout_file" "$stderr_file"' EXIT

# fill KIB: leaves so much room on the disk
fill() {
    local free
    rm -f "$disk/filler"
    free=$(df --output=avail -k "$disk" | tail -1)
    head -c $(((free - $1) * 1024)) /dev/zero >"$disk/filler" 2>/dev/null
}

# try NAME COMMAND...: with less and less room on the disk, from too little to enough, the command either succeeds or says
# that there is no space, and where, and leaves the store good; with room, it succeeds.
try() {
    local name=$1 room failed=0 what=
    shift
    for room in 0 8 24 64 160 400 1600; do
        rm -rf "$disk/store" "$disk/new"
        rm -f "$disk/filler"
        cp -r template "$disk/store"
        fill "$room"
        run "$@" <rows
        if [ "$status" -ne 0 ]; then
            failed=$((failed + 1))
            grep -qi "no space.* left" "$stderr_file" && grep -qF "$disk/" "$stderr_file" && [ "$status" -eq 1 ] ||
                what="$room KiB: exit status $status: $(cat "$stderr_file")"
        fi
        rm -f "$disk/filler"
        "$DMSTORE" verify "$disk/store" >verify.out 2>&1 || what="$room KiB: $(cat verify.out)"
        [ "$status" -eq 0 ] || "$@" <rows >again.out 2>&1 || what="$room KiB, again: $(cat again.out)"
        "$DMSTORE" verify "$disk/store" >verify.out 2>&1 || what="$room KiB, again: $(cat verify.out)"
    done
    full_ct=$((full_ct + failed))
    if [ -z "$what" ] && [ "$failed" -gt 0 ]; then
        pass "$name on a disk that is full: an error $failed times, and done with room"
    else
        fail "$name on a disk that is full" "$failed errors" "$what"
    fi
}

mkdir "$disk"
if mount -t tmpfs -o size=8m none "$disk" 2>"$stderr_file"; then
    create_small template
    rows_of 0 700 | dmstore append template --format jsonl >/dev/null
    dmstore seal template >/dev/null
    rows_of 750 810 | dmstore append template --format jsonl >/dev/null
    dmstore rm template --ids 3-20 >/dev/null
    try create dmstore create "$disk/new" --examples 20 --output margins:3
    try ingest dmstore ingest "$disk/store" --masks masks.npy --first-id 5000
    try append dmstore append "$disk/store" --format jsonl
    try "append --spool" dmstore append "$disk/store" --format jsonl --spool "$disk/store/spool"
    try seal dmstore seal "$disk/store"
    try compact dmstore compact "$disk/store" --codec zstd --all
    try snapshot dmstore snapshot "$disk/store" -o "$disk/new"
    try export dmstore export "$disk/store" --masks "$disk/new"
    try recover dmstore recover "$disk/store"
    echo "# $full_ct times without space"
    umount "$disk"
else
    skip "commands on a full disk" "no tmpfs can be mounted: $(tail -1 "$stderr_file")"
fi

# ---- a limit on the length of files, which is met in the same places and needs no rights --------------------------

create_small limited
append_small limited $(seq 0 70)
for kib in 8 32 64; do
    run bash -c 'trap "" XFSZ; ulimit -f "$2"; exec "$1" ingest limited --masks masks.npy --first-id 5000' sh "$DMSTORE" "$kib"
    if [ "$status" -eq 1 ] && grep -qE "limited.*(File too large|Input/output error)" "$stderr_file"; then
        pass "ingest with files of at most $kib KiB is an error"
    else
        fail "ingest with files of at most $kib KiB is an error" "exit status $status" "$(cat "$stderr_file")"
    fi
    check "the store is good" dmstore verify limited
done
check "without the limit it goes in" dmstore ingest limited --masks masks.npy --first-id 5000

# ---- permission ----------------------------------------------------------------------------------------------------

create_small guarded
append_small guarded 1 2 3
mkdir closed
as_nobody() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        "$@"
    fi
}
chmod 755 "$work_dir"
chmod 555 closed
chmod -R go-w,a+rX guarded
if [ "$(id -u)" -ne 0 ] || as_nobody "$DMSTORE" --version >/dev/null 2>&1; then
    [ "$(id -u)" -eq 0 ] || chmod -R a-w guarded
    check_error "create without permission" 1 "closed/new': Permission denied" as_nobody "$DMSTORE" create closed/new --examples 5
    check_error "reading through an index that may only be read says how else" 1 "dmstore snapshot" \
        as_nobody "$DMSTORE" info guarded
    dmstore snapshot guarded -o manifest >/dev/null
    chmod a+r manifest
    check "reading it through a manifest" as_nobody "$DMSTORE" info manifest
    check_error "append to it" 1 "guarded" as_nobody "$DMSTORE" append guarded --format jsonl <rows
    check_error "says that it may not" 1 "ermission" as_nobody "$DMSTORE" append guarded --format jsonl <rows
    chmod -R u+w guarded
    chmod 700 guarded
    [ "$(id -u)" -eq 0 ] || chmod 000 guarded
    check_error "a store that may not be read" 1 "guarded" as_nobody "$DMSTORE" info guarded
    chmod -R 755 guarded
    check "the store is good" dmstore verify guarded
else
    skip "permission" "the program cannot be run as another user"
fi

# ---- little address space, few files -------------------------------------------------------------------------------

limited_to() { # OPTION LIMIT COMMAND...
    bash -c 'ulimit "$1" "$2" && shift 2 && exec "$@"' sh "$@"
}
if ldd "$DMSTORE" 2>/dev/null | grep -qE 'lib[atlu]+san'; then
    skip "a smaller index map" "a sanitizer needs the address space"
else
    create_small narrow
    check "append with 1 GiB of address space" limited_to -v 1048576 "$DMSTORE" append narrow --format jsonl <rows
    check "seal with 400 MiB of address space" limited_to -v 409600 "$DMSTORE" seal narrow
    check "reading with 200 MiB of address space" limited_to -v 204800 "$DMSTORE" export narrow --masks narrow.npy
    run limited_to -v 16384 "$DMSTORE" seal narrow
    if [ "$status" -ge 1 ] && [ "$status" -lt 128 ]; then
        pass "with 16 MiB of address space it fails, and does not crash"
    else
        fail "with 16 MiB of address space it fails, and does not crash" "exit status $status" "$(cat "$stderr_file")"
    fi
    check "the store is good" dmstore verify narrow
fi
create_small many
for first in $(seq 0 64 2560); do
    ingest_small many "$first" 2
    dmstore add-column many --scalar "scalar_$first:u8" >/dev/null # a new log segment each time
    append_small many $((first + 10))
done
segment_ct=$(ls many/segments | wc -l)
echo "# a store of $segment_ct segments"
if [ "$segment_ct" -gt 24 ]; then
    check "a soft limit of 20 open files is raised" limited_to -Sn 20 "$DMSTORE" export many --masks many.npy
    check_error "a hard limit of 20 open files is an error" 1 "oo many open files" limited_to -n 20 "$DMSTORE" export many \
        --masks many.npy
    check_error "to verify as well" 1 "oo many open files" limited_to -n 20 "$DMSTORE" verify many
    check "compact with few files left makes few of many" limited_to -Sn 20 "$DMSTORE" compact many --all
    check "the store is good" dmstore verify many
else
    fail "there are stores of many segments" "$segment_ct"
fi
done_testing
