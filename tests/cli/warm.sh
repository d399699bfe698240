#!/usr/bin/env bash
# `dmstore warm` makes a cache that readers use, within its limit, and that costs nothing when it is lost, stale or damaged.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

# Masks of 5 of 2,000 examples compress, and so do margins of 0.
dmstore create run.dms --examples 2000 --output margins:1000:f16 --chunk-rows 64 --codec zstd
dmstore sample --examples 2000 --alpha 0.0025 --seed 7 --count 192 -o masks.npy
head -c $((192 * 1000 * 2)) /dev/zero | write_npy margins.npy '<f2' '192, 1000'
dmstore ingest run.dms --masks masks.npy --output margins=margins.npy >/dev/null
random() { dmstore bench read run.dms --order random --epochs 1 "$@"; }

check_error "a compressed store is not read at random" 1 "warm" random --masks-only
check_output "warm decodes the masks" "3 chunks decoded, 52.0 KiB" dmstore warm run.dms
check "and now it is" random --masks-only
check_error "but not with margins, which are not in the cache" 1 "warm" random
check "warm with an output" dmstore warm run.dms --output margins
check_printed "has its chunks" "6 chunks decoded"
check "and now with them" random
check "the store is as it was" dmstore verify run.dms
check_output "no temporary file is left" "" find run.dms -name '*.tmp'

check "warm --json with a limit" dmstore warm run.dms --output margins --limit 64K --json
check_line "has the masks" '"chunks": 3,'
check_line "leaves the margins out" '"left_out": 3,'
check "the cache is within the limit" test "$(stat -c %s run.dms/warm.cache)" -le 65536
check "what is left out is decoded" dmstore bench read run.dms

# Rows that came later, and compacted ones, are not in the cache.
dmstore warm run.dms --output margins >/dev/null
dmstore sample --examples 2000 --alpha 0.0025 --seed 7 --first-id 1000 --count 64 -o later.npy
dmstore ingest run.dms --masks later.npy --first-id 1000 >/dev/null
check "later rows are decoded" dmstore bench read run.dms --masks-only
check_printed "they are read" "256 models"
check_error "and not at random" 1 "warm" random --masks-only
dmstore compact run.dms --all >/dev/null
check "after compact the old cache is not used" dmstore bench read run.dms --masks-only
check_printed "all rows are read" "256 models"

dmstore warm run.dms >/dev/null
printf 'x' | dd of=run.dms/warm.cache bs=1 seek=5 conv=notrunc status=none
check "a damaged cache is not used" dmstore bench read run.dms --masks-only
check_error "also not for random order" 1 "warm" random --masks-only
dmstore warm run.dms >/dev/null
check "it is made again" random --masks-only

# One that is being made by somebody else is waited for by nobody.
exec 9>run.dms/warm.cache.tmp
flock 9
check_error "two at once" 1 "another process" dmstore warm run.dms
exec 9>&-
check "a file that a killed process left is no hindrance" dmstore warm run.dms

check "warm --remove" dmstore warm run.dms --remove
check "the cache is gone" test ! -e run.dms/warm.cache
check_output "it can be removed twice" "0 B removed" dmstore warm run.dms --remove
create_small raw.dms --codec none
ingest_small raw.dms 0 64
dmstore compact raw.dms --all --codec none >/dev/null
check "a raw store" dmstore warm raw.dms
check_error "--targets without --output" 2 "--output" dmstore warm run.dms --targets 0:3
check_error "--remove with a limit" 2 "--remove" dmstore warm run.dms --remove --limit 1M
check_error "an output that is not there" 1 "no column" dmstore warm run.dms --output nothing
done_testing
