#!/usr/bin/env bash
# The commands, each disturbed at every so-manieth call to the system that it makes: it exits with 0, or with 1 and a message
# that begins with its name; it never crashes, and leaves a store that is whole. (tests/fault/syscalls disturbs the library at
# every single call; here it is the programs' own files, messages and exit codes.) DMSTORE_TEST_CAMPAIGN=1: every call.
source "$(dirname "$0")/../cli/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"
source "$DMSTORE_SOURCE_DIR/tests/fault/preload.sh"

sample=${DMSTORE_TEST_CAMPAIGN:+1000000}
sample=${sample:-12} # runs a command and fault

work_dir=$(cd "$work_dir" && pwd -P)
mkdir template
small_files 0 70
mv masks.npy margins.npy seconds.npy template/
create_small template/store --codec auto
(
    cd template || exit 1
    dmstore ingest store --masks masks.npy --output margins=margins.npy --scalar seconds=seconds.npy >/dev/null
)
append_small template/store $(seq 100 120)
dmstore rm template/store --ids 5,7,101 >/dev/null
dmstore gram template/store --output margins --products --rows-used 40 >/dev/null
create_small template/other
append_small template/other 200 201
printf '{"id": 300, "mask": [1, 2, 3], "outputs": {"margins": [1, 2, 3]}, "scalars": {"seconds": 9}}\n' >template/rows
small_files 400 70
mv masks.npy margins.npy seconds.npy template/
run_ct=0
error_ct=0

# judge COMMAND: whether what the last command did is allowed; says what is wrong.
judge() {
    case $status in
    0) ;;
    1)
        grep -q "^dmstore $1: ." "$stderr_file" || echo "exit status 1 without a message: $(head -3 "$stderr_file")"
        ;;
    *) echo "exit status $status: $(head -3 "$stderr_file")" ;;
    esac
    if [ -e work/store ] && [ "$1" != create ]; then
        "$DMSTORE" verify work/store >verify.out 2>&1 || echo "verify: $(cat verify.out)"
    fi
}

# disturb FAULT[+] COMMAND...: the command's calls with this fault, the + for all calls from there on.
disturb() {
    local fault=${1%+} plus=${1:${#1}-1} step at count what runs=0
    [ "$plus" = + ] || plus=
    shift
    rm -rf work && cp -r template work
    run injected "$fault" 0 "$@" <template/rows
    if [ "$status" -ne 0 ]; then
        fail "$1, undisturbed" "$(cat "$stderr_file")"
        return
    fi
    count=$(cat "$work_dir.count")
    step=$(((count + sample - 1) / sample))
    for ((at = 1 + RANDOM % step; at <= count; at += step)); do
        rm -rf work && cp -r template work
        run injected "$fault" "$at$plus" "$@" <template/rows
        runs=$((runs + 1))
        what=$(judge "$1")
        [ "$status" -eq 1 ] && error_ct=$((error_ct + 1))
        if [ -n "$what" ]; then
            fail "$1, $fault$plus" "call $at of $count: $what"
            return
        fi
    done
    run_ct=$((run_ct + runs))
    pass "$1, $fault${plus:+ for good}: $runs of $count calls disturbed"
}

store=$work_dir/work/store
inputs="--masks $work_dir/work/masks.npy --output margins=$work_dir/work/margins.npy --scalar seconds=$work_dir/work/seconds.npy"
for fault in EIO ENOSPC+ memory short+; do
    disturb $fault create "$work_dir/work/new" --examples 20 --output margins:3
    disturb $fault ingest "$store" $inputs --first-id 400
    disturb $fault append "$store" --format jsonl
    disturb $fault append "$store" --format jsonl --spool "$work_dir/work/spool"
    disturb $fault seal "$store"
    disturb $fault rm "$store" --ids 1,2,110
    disturb $fault compact "$store" --codec zstd
    disturb $fault add-column "$store" --output logits:4
    disturb $fault merge "$store" "$work_dir/work/other"
    disturb $fault snapshot "$store" -o "$work_dir/work/manifest"
    disturb $fault export "$store" --masks "$work_dir/work/out.npy" --output "margins=$work_dir/work/out_margins.npy"
    disturb $fault get "$store" --id 100 --mask
    disturb $fault gram "$store" --validation 5
    disturb $fault gram "$store" --output margins --products --validation 5
    disturb $fault gram "$store" --rows-used 40 -o "$work_dir/work/pairs.npy"
    disturb $fault info "$store"
    disturb $fault ls "$store"
    disturb $fault missing "$store" --count 200
    # To a recovery, what the disk does not give is damage that it makes do without.
    [ $fault = EIO ] || disturb $fault recover "$store"
done
disturb memory sample --examples 50000 --alpha 0.5 --count 100 --seed 1 -o "$work_dir/work/masks.npy"
disturb EIO sample --examples 50000 --alpha 0.5 --count 100 --seed 1 -o "$work_dir/work/masks.npy"

# outlives FAULT: counts of pairs and products whose writer is killed, or loses power, at such a call: what is there is whole, and
# the next run makes the very files that an undisturbed one makes, and leaves no unfinished ones. What was added to may stay. Not
# all runs make as many calls.
outlives() {
    local step at count what runs=0 gram=(gram "$store" --output margins --products --validation 5)
    rm -rf work && cp -r template work
    run injected kill 0 "${gram[@]}"
    count=$(cat "$work_dir.count")
    rm -rf wanted && cp -r work/store/gram wanted
    step=$(((count + 2 * sample - 1) / (2 * sample)))
    for ((at = 1 + RANDOM % step; at <= count; at += step)); do
        rm -rf work && cp -r template work
        run injected "$1" "$at" "${gram[@]}"
        what=$([ "$status" -ne 0 ] && [ "$status" -ne 137 ] && echo "exit status $status")
        run dmstore verify work/store
        [ "$status" -eq 0 ] || what+="verify: $(cat "$stdout_file")"
        run dmstore "${gram[@]}"
        [ "$status" -eq 0 ] || what+="the next run: $(cat "$stderr_file")"
        what+=$(diff -r wanted work/store/gram | grep -vE '^Only in work/store/gram: [0-9a-f]{32}\.(2\.products|pairs)$')
        runs=$((runs + 1))
        if [ -n "$what" ]; then
            fail "gram, $1" "call $at of $count: $what"
            return
        fi
    done
    pass "gram, $1: $runs of $count calls, and counted again"
}
outlives kill
outlives power

echo "# $run_ct runs disturbed, $error_ct of them ended in an error"
done_testing
