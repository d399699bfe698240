#!/usr/bin/env bash
# `dmstore seal`, `compact`, `merge` and `snapshot` keep every model and its values, and refuse what does not belong.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

contents() { # STORE: digest of all masks and values, by id
    rm -rf exported
    mkdir exported
    dmstore export "$1" --masks exported/masks.npy --output margins=exported/margins.npy >/dev/null &&
        cat exported/masks.npy exported/margins.npy | sha256sum
}

field() { # STORE KEY: a number of info --json
    dmstore info --json "$1" | sed -n "s/^  \"$2\": \([0-9]*\),\{0,1\}$/\1/p"
}

# ---- seal ----------------------------------------------------------------------------------------------------------

create_small run.dms
check_output "seal with nothing staged" "0 rows sealed" dmstore seal run.dms
append_small run.dms $(seq 0 2 40)
before=$(contents run.dms)
check_output "seal" "21 rows sealed" dmstore seal run.dms
check_output "leaves nothing staged" 0 field run.dms staged
check_output "keeps all values" "$before" contents run.dms
check_output "seal as JSON" '{ "sealed": 0 }' bash -c 'echo $("$0" seal run.dms --json)' "$DMSTORE"
check_error "seal of no store" 1 "no_such.dms" dmstore seal no_such.dms

# ---- compact -------------------------------------------------------------------------------------------------------

append_small run.dms $(seq 1 2 39)
dmstore seal run.dms >/dev/null
append_small run.dms 50 51
dmstore rm run.dms --ids 3-5 >/dev/null
before=$(contents run.dms)
check "compact" dmstore compact run.dms
check_output "joins short groups and seals" 1 field run.dms groups
check_output "drops removed models" 0 field run.dms removed
check_output "keeps all values" "$before" contents run.dms
check "the store is good" dmstore verify run.dms
check "compact --codec zstd:5" dmstore compact run.dms --codec zstd:5
check_output "makes it the store's" "zstd:5" bash -c '"$0" info --json run.dms | sed -n "s/.*\"codec\": \"\(.*\)\",/\1/p"' "$DMSTORE"
check_output "keeps all values" "$before" contents run.dms
check "the store is good" dmstore verify run.dms
check "compact --codec none --all" dmstore compact run.dms --codec none --all --threads 2
check_output "keeps all values" "$before" contents run.dms
check "compact --json" dmstore compact run.dms --json
check_line "has the groups" '"groups_after": 1,'
check_error "a codec that is none" 2 "--codec" dmstore compact run.dms --codec lz4
check_error "a level that is too high" 2 "--codec" dmstore compact run.dms --codec zstd:20

# ---- merge ---------------------------------------------------------------------------------------------------------

create_small first.dms --dataset-digest aa
create_small second.dms --dataset-digest aa
create_small third.dms --dataset-digest aa
ingest_small first.dms 0 70
ingest_small second.dms 100 30
append_small third.dms 200 201 5
check_output "merge" "second.dms: 30 models added, 0 unchanged
third.dms: 2 models added, 1 unchanged" dmstore merge first.dms second.dms third.dms
check_output "adds all models" "70-99,130-199" dmstore missing first.dms --count 202
check_output "with their values" 129 dmstore get first.dms --id 129 --scalar seconds
check_output "merge again changes nothing" "second.dms: 0 models added, 30 unchanged" dmstore merge first.dms second.dms
check "the store is good" dmstore verify first.dms

create_small other.dms --dataset-digest aa
echo '{"id": 5, "mask": [1], "outputs": {"margins": [7, 7, 7]}, "scalars": {"seconds": 7}}' |
    dmstore append other.dms --format jsonl >/dev/null
check_error "an id with other bytes" 1 "5" dmstore merge first.dms other.dms
check_output "leaves the model as it was" 5 dmstore get first.dms --id 5 --scalar seconds
check_output "--on-duplicate keep" "other.dms: 0 models added, 0 unchanged, 1 kept as they were" \
    dmstore merge first.dms other.dms --on-duplicate keep
check_output "keeps the model that was there" 5 dmstore get first.dms --id 5 --scalar seconds
check_output "--on-duplicate replace" "other.dms: 0 models added, 0 unchanged, 1 replaced" \
    dmstore merge first.dms other.dms --on-duplicate replace
check_output "takes the new one" 7 dmstore get first.dms --id 5 --scalar seconds
check_output "merge as JSON" \
    '{ "sources": [ { "source": "other.dms", "added": 0, "unchanged": 1, "kept": 0, "replaced": 0 } ] }' \
    bash -c 'echo $("$0" merge first.dms other.dms --json)' "$DMSTORE"

create_small digest.dms --dataset-digest bb
check_error "another dataset digest" 1 "digest" dmstore merge first.dms digest.dms
dmstore create examples.dms --examples 21 --output margins:3:f16 --scalar seconds:u32 --dataset-digest aa
check_error "another number of examples" 1 "21" dmstore merge first.dms examples.dms
dmstore create columns.dms --examples 20 --output margins:4:f16 --scalar seconds:u32 --dataset-digest aa
check_error "another shape" 1 "margins" dmstore merge first.dms columns.dms
check_error "a source that is not there" 1 "no_such.dms" dmstore merge first.dms no_such.dms
check_error "no source" 2 "an argument is missing" dmstore merge first.dms

# ---- snapshot ------------------------------------------------------------------------------------------------------

before=$(contents second.dms)
check_output "snapshot" "second.manifest: commit $(field second.dms sequence), 30 models" \
    dmstore snapshot second.dms -o second.manifest
append_small second.dms 190
check_output "a manifest stays as it is" 30 field second.manifest models
check_output "all values can be read through it" "$before" contents second.manifest
check_output "a model can be read through it" 110 dmstore get second.manifest --id 110 --scalar seconds
check_output "what is missing can be read from it" "0-99,130-199" dmstore missing second.manifest --count 200
check "it can be merged" dmstore merge other.dms second.manifest
dmstore snapshot second.dms -o second.manifest >/dev/null
check_output "a new one replaces it" 31 field second.manifest models
cp second.manifest damaged.manifest
printf '\xff' | dd of=damaged.manifest bs=1 seek=200 conv=notrunc status=none
check_error "a damaged manifest is refused" 1 "damaged.manifest" dmstore info damaged.manifest
check_error "a manifest cannot be written to" 1 "second.manifest" dmstore seal second.manifest
check_error "no manifest file" 2 "-o is missing" dmstore snapshot second.dms
check_error "a manifest in no directory" 1 "no_such_directory" dmstore snapshot second.dms -o no_such_directory/manifest
done_testing
