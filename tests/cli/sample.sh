#!/usr/bin/env bash
# dmstore sample: golden masks, agreement of formats, ranges and threads, and its errors.
source "$(dirname "$0")/tap.sh"

# These must never change: stores hold seeds in place of masks.
check_output "golden masks of 10 examples" $'1 2 7\n0 8 9\n0 2 3' \
    dmstore sample --examples 10 --alpha 0.3 --seed 1 --count 3 --format indices
golden=$(dmstore sample --examples 50000 --alpha 0.5 --seed 17 --first-id 1000 --count 20 --format packed | sha256sum)
if [ "${golden%% *}" = 5443842bdbc3ef8378f866781c17338d4fbd7b7939bd4ffa851d2bd927e82e4e ]; then
    pass "golden masks of 50,000 examples"
else
    fail "golden masks of 50,000 examples" "$golden"
fi

common="--examples 1003 --alpha 0.37 --seed 18446744073709551615"
dmstore sample $common --count 70 --first-id 5 -o all.npy
dmstore sample $common --count 70 --first-id 5 --threads 1 -o single.npy
check_same "one thread draws what many do" all.npy single.npy
dmstore sample $common --count 70 --first-id 5 >piped.npy
check_same "standard output gets the same bytes" all.npy piped.npy
for id in $(seq 5 74); do dmstore sample $common --id $id --format indices; done >one_by_one.txt
dmstore sample $common --count 70 --first-id 5 --format indices -o together.txt
check_same "the mask of one id is the same as in a larger draw" one_by_one.txt together.txt
sizes=$(awk '{ print NF }' together.txt | sort -u)
if [ "$sizes" = 371 ]; then
    pass "every subset has floor(0.37 x 1003) examples"
else
    fail "every subset has floor(0.37 x 1003) examples" "$sizes"
fi
sorted=$(awk '{ for (i = 2; i <= NF; i++) if ($i <= $(i - 1)) print NR }' together.txt)
if [ -z "$sorted" ]; then pass "indices increase"; else fail "indices increase" "$sorted"; fi
count_of() { dmstore sample --examples "$1" --alpha "$2" --seed 3 --id 0 --format indices | wc -w; }
check_output "alpha is an exact decimal" 14500 count_of 50000 0.29
check_output "alpha 0" 0 count_of 100 0
check_output "alpha 1" 100 count_of 100 1
check_output "no masks at all" "" dmstore sample --examples 10 --alpha 0.3 --seed 1 --count 0 --format indices

PYTHON=${PYTHON:-python3}
if "$PYTHON" -c 'import numpy' 2>/dev/null; then
    dmstore sample $common --count 70 --first-id 5 --format packed -o packed.npy
    check "the formats agree, and with the generator as documented" "$PYTHON" -c '
import numpy as np
masks, packed = np.load("all.npy"), np.load("packed.npy")
assert masks.dtype == bool and masks.shape == (70, 1003)
assert packed.dtype == np.uint8
assert (np.packbits(masks, axis=1, bitorder="little") == packed).all()
lines = [[int(x) for x in line.split()] for line in open("together.txt")]
assert [list(np.flatnonzero(mask)) for mask in masks] == lines
for row, mask in enumerate(masks):
    words = (int(x) for x in np.random.Philox(key=np.array([2**64 - 1, 5 + row], np.uint64)).random_raw(20000))
    chosen = set()
    for j in range(1003 - 371, 1003):
        s = j + 1
        while True:
            m = next(words) * s
            if m % 2**64 >= 2**64 % s:
                break
        t = m >> 64
        chosen.add(j if t in chosen else t)
    assert chosen == set(lines[row]), row
'
else
    skip "the formats agree, and with the generator as documented" "no numpy"
fi

refuse() { # DESCRIPTION TEXT OPTION...
    check_error "$1" 2 "$2" dmstore sample "${@:3}"
}
refuse "without --seed" "--seed" --examples 10 --alpha 0.5 --count 1
refuse "without --count or --id" "--count" --examples 10 --alpha 0.5 --seed 1
refuse "with both" "--count" --examples 10 --alpha 0.5 --seed 1 --count 1 --id 1
refuse "an alpha above 1" "--alpha" --examples 10 --alpha 1.01 --seed 1 --count 1
refuse "an alpha that is no number" "--alpha" --examples 10 --alpha half --seed 1 --count 1
refuse "ids beyond 64 bits" "2^64" --examples 10 --alpha 0.5 --seed 1 --first-id 18446744073709551615 --count 2
refuse "an unknown format" "npy, packed, indices" --examples 10 --alpha 0.5 --seed 1 --count 1 --format text
if command -v script >/dev/null; then
    on_terminal() { script -qec "'$DMSTORE' sample --examples 10 --alpha 0.5 --seed 1 --count 1" /dev/null </dev/null; }
    run on_terminal
    if [ "$status" -eq 2 ] && grep -q "terminal" "$stdout_file"; then
        pass "a terminal gets no binary"
    else
        fail "a terminal gets no binary" "exit status $status" "$(cat -v "$stdout_file")"
    fi
else
    skip "a terminal gets no binary" "no script(1)"
fi
if [ -c /dev/full ]; then
    full() { dmstore sample $common --count 5 >/dev/full; }
    check_error "a full disk" 1 "No space" full
else
    skip "a full disk" "no /dev/full"
fi
check_error "a directory that is not there" 1 "absent" dmstore sample $common --count 1 -o absent/masks.npy
check_error "a name that is a directory" 1 "regular" dmstore sample $common --count 1 -o "$work_dir"

mkdir stopped
"$DMSTORE" sample --examples 50K --alpha 0.5 --seed 1 --count 1M -o stopped/masks.npy 2>stopped.txt &
sleep 0.3
kill -TERM $!
wait $!
status=$?
if [ $status -eq 1 ] && grep -q interrupted stopped.txt && [ -z "$(ls stopped)" ]; then
    pass "a draw that is interrupted leaves no file"
else
    fail "a draw that is interrupted leaves no file" "exit status $status" "$(cat stopped.txt)" "$(ls stopped)"
fi
done_testing
