#!/usr/bin/env bash
# Processes that read one store at the same time share its bytes: four fits hold one copy of the masks between them, in the
# page cache, and none of their own; the same goes for the decoded chunks of a warm store. Shared memory counts once in a sum of proportional set sizes (PSS, which divides each
# page by the processes that map it), and four times in one of resident set sizes.
. "$(dirname "$0")/../cli/tap.sh"

examples=8000
models=64000
mask_kib=$((examples / 8 * models / 1024))
jobs=4
allowed_kib=$((mask_kib + mask_kib / 5)) # one copy, and the program itself

if ! grep -q '^Pss_File:' /proc/self/smaps_rollup 2>/dev/null; then
    skip "processes share the bytes of a store" "no proportional set sizes in /proc/PID/smaps_rollup"
    done_testing
fi

if grep -q -e '-fsanitize=' "$DMSTORE_BUILD_DIR/Makefile" 2>/dev/null; then
    skip "processes share the bytes of a store" "a sanitizer takes memory of its own"
    done_testing
fi

# sum FIELD PID...: of smaps_rollup, in KiB; processes that have ended count as 0.
sum() {
    local pid files=()
    for pid in "${@:2}"; do
        files+=("/proc/$pid/smaps_rollup")
    done
    cat "${files[@]}" 2>/dev/null | awk -v field="$1:" '$1 == field { total += $2 } END { print total + 0 }'
}

# Whether all of the processes have mapped, and read, nearly all of the masks.
all_have_read() {
    local pid resident
    for pid in "$@"; do
        resident=$(($(sum Rss "$pid") - $(sum Anonymous "$pid")))
        [ "$resident" -ge $((mask_kib / 10 * 9)) ] || return 1
    done
}

# check_shared WHAT ARGUMENTS...: runs dmstore four times at once, with THIS as 0 to 3 and NEXT as 1 to 4 in its arguments;
# once all of them have read the store, looks at their memory, and ends them.
check_shared() {
    local pids=() arguments=() number shared private largest=0 seen=no what=$1
    shift
    for ((number = 0; number < jobs; number++)); do
        arguments=("${@//THIS/$number}")
        exec "$DMSTORE" "${arguments[@]//NEXT/$((number + 1))}" >"job$number.out" 2>&1 &
        pids+=($!)
    done
    for _ in {1..600}; do
        if all_have_read "${pids[@]}"; then
            seen=yes
            break
        fi
        sleep 0.1
    done
    shared=$(sum Pss_File "${pids[@]}")
    for number in "${pids[@]}"; do
        private=$(sum Anonymous "$number")
        largest=$((private > largest ? private : largest))
    done
    echo "# $what: Rss $(sum Rss "${pids[@]}") KiB, Pss $(sum Pss "${pids[@]}") KiB, of it of files $shared KiB; masks $mask_kib KiB"
    kill "${pids[@]}" 2>/dev/null
    wait "${pids[@]}" 2>/dev/null
    if [ "$seen" = no ]; then
        fail "$what: all of them read the masks" "$(tail -n 3 job*.out)"
        return
    fi
    pass "$what: all of them read the masks"
    if [ "$shared" -le "$allowed_kib" ]; then
        pass "$what: between them they hold one copy"
    else
        fail "$what: between them they hold one copy" "$shared KiB of files, $allowed_kib allowed"
    fi
    if [ "$largest" -lt $((mask_kib / 2)) ]; then
        pass "$what: none has a copy of its own"
    else
        fail "$what: none has a copy of its own" "$largest KiB of private memory, the masks are $mask_kib"
    fi
}

# fill STORE: ingests masks.npy (packed) with margins; letters are finite values of f16.
fill() {
    tr -dc 'a-p' </dev/urandom | head -c $((2 * jobs * models)) | write_npy margins.npy '<f2' "$models, $jobs"
    dmstore ingest "$1" --masks masks.npy --packed-masks --output margins=margins.npy >/dev/null
    rm masks.npy margins.npy
}

# Any bits are good masks.
dmstore create raw.dms --examples $examples --output margins:$jobs:f16 --codec none
head -c $((examples / 8 * models)) /dev/urandom | write_npy masks.npy '|u1' "$models, $((examples / 8))"
fill raw.dms
check_shared "fits of a raw store" fit raw.dms --output margins --name fitTHIS --targets THIS:NEXT --memory 24M \
    --validation 1000 --checkpoint checkpointTHIS -o partTHIS.dmfit
check_shared "readers of a raw store" bench read raw.dms --epochs 1000 --seed THIS --targets THIS:NEXT --memory 24M

# Small subsets compress.
dmstore create zstd.dms --examples $examples --output margins:$jobs:f16 --codec zstd
dmstore sample --examples $examples --alpha 0.02 --seed 1 --count $models --format packed -o masks.npy
fill zstd.dms
check "a compressed store is warmed" dmstore warm zstd.dms --output margins
check_shared "readers of a warm store" bench read zstd.dms --epochs 1000 --order random --seed THIS --targets THIS:NEXT \
    --memory 24M
done_testing
