#!/usr/bin/env bash
# A store on a network file system (statfs is made to say so): what needs LMDB is refused with the way out; what does not
# - spooling rows and reading through a manifest - works.
source "$(dirname "$0")/../cli/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"
source "$DMSTORE_SOURCE_DIR/tests/fault/preload.sh"

on_network() { # dmstore COMMAND... on NFS
    env LD_PRELOAD="$inject_module" DMS_INJECT_FILE_SYSTEM=0x6969 "$DMSTORE" "$@"
}

create_small store
append_small store $(seq 0 10)
dmstore snapshot store -o manifest >/dev/null
small_files 20 4
row='{"id": 50, "mask": [1, 2, 3], "outputs": {"margins": [1, 2, 3]}, "scalars": {"seconds": 4}}'

check_error "create is refused" 1 "network file system (NFS)" on_network create new --examples 5
check_error "and says what to do instead" 1 "--spool" on_network create new --examples 5
[ ! -e new ] && pass "and makes nothing" || fail "and makes nothing" "$(find new)"
check_error "ingest is refused" 1 "network file system (NFS)" on_network ingest store --masks masks.npy --output margins=margins.npy
check_error "append is refused" 1 "network file system (NFS)" on_network append store --format jsonl <<<"$row"
check_error "info of the store is refused" 1 "manifest" on_network info store
check_error "recover is refused" 1 "network file system (NFS)" on_network recover store
check "info of a manifest works" on_network info manifest
check "export through a manifest" on_network export manifest --masks from_network.npy
check "append --spool with the store's schema" on_network append store --spool spool --format jsonl <<<"$row"
check "append --spool with the manifest's" on_network append manifest --spool spool --format jsonl <<<"${row/50/51}"
check "the host with the disk collects" dmstore ingest store --spool spool
check "the rows are there" dmstore get store --id 51
check "the store is good" dmstore verify store
done_testing
