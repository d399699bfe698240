#!/usr/bin/env bash
# `dmstore info` and `dmstore ls` tell the truth about an empty store, and about one with sealed, staged and removed models
# and with values that are not finite.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

check_json() { # DESCRIPTION COMMAND...: it prints JSON
    run "${@:2}"
    if ! command -v python3 >/dev/null; then
        skip "$1" "no Python"
    elif [ "$status" -eq 0 ] && python3 -m json.tool <"$stdout_file" >/dev/null 2>"$stderr_file"; then
        pass "$1"
    else
        fail "$1" "exit status $status" "$(cat "$stdout_file" "$stderr_file")"
    fi
}

# ---- an empty store ------------------------------------------------------------------------------------------------

create_small run.dms --dataset-digest 00ff12 --meta alpha=0.5 --meta 'note=a "quoted" word' --codec zstd:3
check "info of an empty store" dmstore info run.dms
check_line "has its examples" "examples 20"
check_line "has no models" "models 0"
check_line "has its codec" "codec zstd:3"
check_line "has its digest" "dataset digest 00ff12"
check_line "has its metadata" "alpha = 0.5"
check_json "info --json of an empty store" dmstore info --json run.dms
check_line "has no smallest id" '"smallest_id": null,'
check_json "ls --json of an empty store" dmstore ls --json run.dms
check_json "ls --chunks --json of an empty store" dmstore ls --chunks --json run.dms

# ---- a store with all sorts of models ------------------------------------------------------------------------------

ingest_small run.dms 0 100
append_small run.dms 200 201
dmstore rm run.dms --ids 10-14 >/dev/null
echo '{"id": 300, "mask": [0, 1], "outputs": {"margins": [null, 1, null]}}' | dmstore append run.dms --format jsonl >/dev/null

check "info of a store with models" dmstore info run.dms
check_line "has its models and ids" "models 98, ids 0 to 300"
check_line "has its staged models" "staged 3"
check_line "has its removed models" "removed 5"
check_line "has its groups" "groups 2 of up to 64 models"
check_line "has the mean subset size" "a model has 9.91837 of the 20 examples on average"
check_line "has the output" "output margins, 3 f16"
check_line "has its values that are not finite" "98 models have a value; 292 values are finite, 2 are not"
check_line "has the scalar" "scalar seconds, u32"
check_line "has its models" "97 models have a value"
check_json "info --json" dmstore info --json run.dms
check_line "has its models" '"models": 98,'
check_line "has its metadata" '"note": "a \"quoted\" word"'
check_line "has its values that are not finite" '"nonfinite": 2'

counts() { # smallest and largest number of models an example is in, from the masks themselves
    for id in $(seq 0 9) $(seq 15 99) 200 201 300; do dmstore get run.dms --id "$id" --mask; done | sort -n | uniq -c |
        awk 'NR == 1 || $1 < low { low = $1 } $1 > high { high = $1 } END { print low, high }'
}
read -r low high <<<"$(counts)"
dmstore info --json run.dms >info.json
check "info has the smallest count of an example" grep -q "\"smallest_count\": $low," info.json
check "info has the largest count of an example" grep -q "\"largest_count\": $high," info.json

# ---- ls ------------------------------------------------------------------------------------------------------------

check "ls" dmstore ls run.dms
cp "$stdout_file" ls.txt
check_output "lists all columns" "COLUMN mask id margins seconds" bash -c 'echo $(cut -d " " -f 1 ls.txt)'
check_output "has kind, type, shape, tile, models and chunks of an output" "margins output f16 3 3 98 2" \
    bash -c 'grep ^margins ls.txt | tr -s " " | cut -d " " -f 1-7'
check_output "has models of a scalar" "seconds scalar u32 - 1 97 2" \
    bash -c 'grep ^seconds ls.txt | tr -s " " | cut -d " " -f 1-7'
check_output "counts encodings and codecs of ids" "id-runs/none 2" bash -c 'grep ^id ls.txt | sed "s/.*  //"'
check_json "ls --json" dmstore ls --json run.dms
check "ls --chunks" dmstore ls --chunks run.dms
cp "$stdout_file" chunks.txt
check_output "lists two chunks a column" "8" bash -c 'tail -n +2 chunks.txt | grep -c .'
check_output "has group, tile, rows and targets" "margins 1 0 64 0:3
margins 2 0 36 0:3" bash -c 'grep ^margins chunks.txt | tr -s " " | cut -d " " -f 1-5'
check_json "ls --chunks --json" dmstore ls --chunks --json run.dms

block_type() { # SEGMENT:OFFSET: the type of the block that stands there (format/SPEC.md)
    od -An -tu1 -j $((${1#*:} + 8)) -N 1 "run.dms/segments/$(printf %08d "${1%:*}").dms" | tr -d ' '
}
places=$(tail -n +2 chunks.txt | awk '{ print $NF }')
check_output "says where each chunk is" "2 2 2 2 2 2 2 2" bash -c "$(declare -f block_type); "'
    echo $(for place in $0; do block_type "$place"; done)' "$places"

# ---- what is wrong -------------------------------------------------------------------------------------------------

for command in info ls; do
    check_error "$command of no store" 1 "no_such.dms" dmstore $command no_such.dms
    mkdir -p empty
    check_error "$command of a directory that is no store" 1 "empty" dmstore $command empty
    check_error "$command of two stores" 2 "one too many" dmstore $command run.dms run.dms
    check_error "$command to a full disk" 1 "cannot write to standard output" \
        bash -c '"$0" "$1" run.dms >/dev/full' "$DMSTORE" $command
done
done_testing
