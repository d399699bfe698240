#!/usr/bin/env bash
# dmstore append: rows from a pipe in both formats, what is refused and what is stored then, acknowledgements, spools.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

create() {
    dmstore create "$1" --examples 20 --output margins:3 --output logits:2x2:f32 --output seen:2:bool \
        --output level:1:u8 --scalar loss:f64 --scalar step:i64 --scalar count:u64 --scalar host:s6 "${@:2}"
}
append_lines() { # STORE LINE...
    printf '%s\n' "${@:2}" | dmstore append "$1" --format jsonl
}
ids_of() {
    dmstore export "$1" --ids ids_of.npy >/dev/null && python <<<'print(*np.load("ids_of.npy"))'
}

# ---- lines of JSON

create store
check "rows with everything, with little, and blank lines" append_lines store \
    '{"id": 5, "mask": "0f3A01", "outputs": {"margins": [1.5, -0.0, null], "logits": [[1, 2.5], [-3e2, 0.1]], "seen": [true, 0], "level": 255}, "scalars": {"loss": 0.1, "step": -9007199254740993, "count": 18446744073709551615, "host": "n\u00f6de"}}' \
    '' \
    ' {"scalars":{"loss":null,"step":9007199254740993},"outputs":{"level":[7],"logits":[0.1,NaN,-Infinity,"Infinity"]},"mask":[19,0,8],"id":18446744073709551615} ' \
    $'{"id": 0, "mask": "000000"}\r'
check_output "all of them are there" "0 5 18446744073709551615" ids_of store
dmstore export store --fill-missing --masks masks.npy --output margins=margins.npy --output logits=logits.npy \
    --output seen=seen.npy --output level=level.npy --scalar loss=loss.npy --scalar step=step.npy \
    --scalar count=count.npy --scalar host=host.npy >/dev/null
check_python "with their values" <<'END'
masks = np.load("masks.npy")
assert not masks[0].any()
assert list(np.flatnonzero(masks[1])) == [0, 1, 2, 3, 9, 11, 12, 13, 16]
assert list(np.flatnonzero(masks[2])) == [0, 8, 19]
margins = np.load("margins.npy")
assert margins[1, 0] == 1.5 and np.signbit(margins[1, 1]) and np.isnan(margins[1, 2])
logits = np.load("logits.npy")
assert bits(logits[1]) == bits(np.float32([[1, 2.5], [-300, 0.1]]))
assert logits[2, 0, 0] == np.float32(0.1) and np.isnan(logits[2, 0, 1])
assert list(logits[2, 1]) == [-np.inf, np.inf]
assert np.load("seen.npy")[1].tolist() == [True, False]
assert np.load("level.npy").tolist() == [[0], [255], [7]]
loss = np.load("loss.npy")
assert loss[1] == 0.1 and np.isnan(loss[2])
assert np.load("step.npy").tolist() == [0, -9007199254740993, 9007199254740993]
assert np.load("count.npy").tolist() == [0, 2**64 - 1, 0]
assert np.load("host.npy").tolist() == [b"", "n\u00f6de".encode(), b""]
END

python <<'END'
import json
rng = np.random.default_rng(1)
x = np.concatenate([rng.normal(size=3000), rng.normal(size=3000) * 10.0 ** rng.integers(-9, 5, 3000), [65519.999999]])
x = x[np.abs(x) < 65520]
x = np.concatenate([x, x.astype(np.float16) * (1 + 2.0**-12) ** rng.integers(0, 2, len(x))])  # ties, or nearly
x = x[np.abs(x) < 65520][:9000].reshape(3000, 3)
np.save("wanted.npy", x.astype(np.float16))
with open("rows.jsonl", "w") as file:
    for i, row in enumerate(x):
        file.write(json.dumps({"id": i, "mask": [], "outputs": {"margins": row.tolist()}}) + "\n")
END
create rounding
check "3,000 rows of decimals" dmstore append rounding --format jsonl <rows.jsonl
dmstore export rounding --output margins=rounded.npy >/dev/null
check_same "are rounded once, to the nearest" wanted.npy rounded.npy

# refuse DESCRIPTION TEXT LINE: the line is refused, with its number; the row before it is stored, the one after it not
create refusing
refused_ct=0
refuse() {
    local first=$((1000 + 2 * refused_ct))
    refused_ct=$((refused_ct + 1))
    run append_lines refusing "{\"id\": $first, \"mask\": []}" "$3" "{\"id\": $((first + 1)), \"mask\": []}"
    if [ "$status" -eq 1 ] && grep -qF "line 2" "$stderr_file" && grep -qF -- "$2" "$stderr_file"; then
        pass "$1"
    else
        fail "$1" "exit status $status, stderr (expected line 2 and '$2'):" "$(cat "$stderr_file")"
    fi
}
refuse "no JSON" "byte 0" 'id 5'
refuse "a list" "an object" '[5]'
refuse "half a row" "ends too early" '{"id": 1, "mask": []'
refuse "two rows in a line" "something follows" '{"id": 1, "mask": []} {"id": 2, "mask": []}'
refuse "no id" '"id"' '{"mask": []}'
refuse "no mask" '"mask"' '{"id": 1}'
refuse "an id twice" "twice" '{"id": 1, "id": 2, "mask": []}'
refuse "a negative id" "id" '{"id": -1, "mask": []}'
refuse "an id beyond 64 bits" "id" '{"id": 18446744073709551616, "mask": []}'
refuse "an id with a fraction" "id" '{"id": 1.0, "mask": []}'
refuse "an unknown member" "masks" '{"id": 1, "masks": []}'
refuse "an unknown column" "margin" '{"id": 1, "mask": [], "outputs": {"margin": [1, 2, 3]}}'
refuse "a scalar among the outputs" "loss" '{"id": 1, "mask": [], "outputs": {"loss": 1}}'
refuse "the id as a column" "id" '{"id": 1, "mask": [], "scalars": {"id": 1}}'
refuse "a column twice" "twice" '{"id": 1, "mask": [], "scalars": {"loss": 1, "loss": 1}}'
refuse "an example that is not there" "20" '{"id": 1, "mask": [20]}'
refuse "an example twice" "3" '{"id": 1, "mask": [3, 3]}'
refuse "a negative example" "mask" '{"id": 1, "mask": [-3]}'
refuse "a mask too short" "6" '{"id": 1, "mask": "0f0f"}'
refuse "a mask that is not hexadecimal" "hexadecimal" '{"id": 1, "mask": "0f0g00"}'
refuse "a bit after the last example" "after the last" '{"id": 1, "mask": "000010"}'
refuse "a value too few" "2 values" '{"id": 1, "mask": [], "outputs": {"margins": [1, 2]}}'
refuse "a value too many" "margins" '{"id": 1, "mask": [], "outputs": {"margins": [1, 2, 3, 4]}}'
refuse "one number for three" "margins" '{"id": 1, "mask": [], "outputs": {"margins": 1}}'
refuse "ragged arrays" "logits" '{"id": 1, "mask": [], "outputs": {"logits": [[1, 2, 3], [4]]}}'
refuse "numbers beside arrays" "side by side" '{"id": 1, "mask": [], "outputs": {"logits": [[1, 2], 3, 4]}}'
refuse "brackets too deep" "brackets" '{"id": 1, "mask": [], "outputs": {"logits": [[[1], [2]], [[3], [4]]]}}'
refuse "an f16 that overflows" "value 1: 65520" '{"id": 1, "mask": [], "outputs": {"margins": [1, 65520, 3]}}'
refuse "an f32 that overflows" "value 3" '{"id": 1, "mask": [], "outputs": {"logits": [1, 2, 3, 1e39]}}'
refuse "a number beyond doubles" "value 0" '{"id": 1, "mask": [], "scalars": {"loss": 1e999}}'
refuse "a bool of 2" "seen" '{"id": 1, "mask": [], "outputs": {"seen": [1, 2]}}'
refuse "null among integers" "level" '{"id": 1, "mask": [], "outputs": {"level": null}}'
refuse "256 in a u8" "256" '{"id": 1, "mask": [], "outputs": {"level": 256}}'
refuse "a text as number" "loss" '{"id": 1, "mask": [], "scalars": {"loss": "1.5"}}'
refuse "a text that is too long" "host" '{"id": 1, "mask": [], "scalars": {"host": "abcdefg"}}'
refuse "a text that is not UTF-8" "UTF-8" $'{"id": 1, "mask": [], "scalars": {"host": "\xff"}}'
refuse "a text with a zero character" "escape" '{"id": 1, "mask": [], "scalars": {"host": "a\u0000b"}}'
refuse "a lone surrogate" "escape" '{"id": 1, "mask": [], "scalars": {"host": "\ud800"}}'
refuse "01 as a number" "number" '{"id": 01, "mask": []}'
refuse "a comma too many" "byte" '{"id": 1, "mask": [1,]}'
check_output "the rows before them were stored, those after them not" \
    "$(seq -s ' ' 1000 2 $((1000 + 2 * refused_ct - 2)))" ids_of refusing
deep() { printf '%0.s[' {1..100000} | dmstore append refusing --format jsonl; }
check_error "100,000 brackets" 1 "line 1" deep
endless() { { printf '{"id": 1, "mask": "'; head -c 8000000 /dev/zero | tr '\0' 0; } | dmstore append refusing --format jsonl; }
check_error "a line without an end" 1 "longer than" endless

# ---- frames

python <<'END'
import struct
rng = np.random.default_rng(2)
def frame(id, mask, values, columns):
    payload = mask.tobytes() + b"".join(x.tobytes() for x in values)
    return b"DMSR" + struct.pack("<IQQ", len(payload), id, columns) + payload
m = 700
masks = rng.random((m, 20)) < 0.5
margins = rng.normal(size=(m, 3)).astype(np.float16)
logits = rng.normal(size=(m, 2, 2)).astype(np.float32)
seen = rng.random((m, 2)) < 0.5
loss = rng.normal(size=m)
packed = np.packbits(masks, axis=1, bitorder="little")
frames = [frame(i, packed[i], [margins[i], logits[i], seen[i], loss[i]], 0b10111) for i in range(m)]
open("frames", "wb").write(b"".join(frames))
open("cut", "wb").write(b"".join(frames)[:-1])
open("header_cut", "wb").write(b"".join(frames[:2]) + frames[2][:10])
open("garbage_behind", "wb").write(b"".join(frames[:2]) + b"x" * 100)
open("long_payload", "wb").write(b"DMSR" + struct.pack("<IQQ", 2**32 - 1, 0, 0))
open("unknown_column", "wb").write(frame(0, packed[0], [], 1 << 63))
open("stray_bit", "wb").write(frame(0, np.uint8([0, 0, 0x80]), [], 0))
open("wrong_bool", "wb").write(frame(0, packed[0], [np.uint8([0, 2])], 0b100))
conflict = margins[300].copy()
conflict[0] += 1
open("conflicting", "wb").write(b"".join(
    frame(id, packed[i], [conflict if id == 300 else margins[i], logits[i], seen[i], loss[i]], 0b10111)
    for id, i in ((1000, 1), (300, 300), (1001, 2))))
for name in "masks", "margins", "logits", "seen", "loss":
    np.save(f"frame_{name}.npy", globals()[name])
END
create framed
check "700 frames" dmstore append framed <frames
dmstore export framed --masks out_masks.npy --output margins=out_margins.npy --output logits=out_logits.npy \
    --output seen=out_seen.npy --scalar loss=out_loss.npy >/dev/null
for column in masks margins logits seen loss; do
    check_same "$column of the frames" frame_$column.npy out_$column.npy
done
check "the same frames again" dmstore append framed --json <frames
cp "$stdout_file" report.json
check_python "change nothing" report.json <<'END'
import json
report = json.load(open(sys.argv[1]))
assert report["unchanged"] == 700 and report["added"] == 0, report
END
check "no input" dmstore append framed </dev/null
check_error "rows that conflict" 1 "300" dmstore append framed <conflicting
has() { dmstore get "$1" --id "$2" --mask; }
check "the row before the conflict is stored" has framed 1000
check_status "the row after it is not" 1 has framed 1001
check "--on-duplicate keep" dmstore append framed --on-duplicate keep <conflicting
first_margin() { printf %.4g "$(dmstore get framed --id 300 --output margins | head -n 1)"; }
check_output "keeps the old row" "$(python <<<'print("%.4g" % np.load("frame_margins.npy")[300, 0])')" first_margin
check "--on-duplicate replace" dmstore append framed --on-duplicate replace <conflicting
check "the store is sound" dmstore verify framed

create partial
check_error "a frame that is cut" 1 "ends inside" dmstore append partial <cut
check_output "the 699 rows before it are stored" "$(seq -s ' ' 0 698)" ids_of partial
create odd
check_error "a header that is cut" 1 "row 3" dmstore append odd <header_cut
check_error "no frame" 1 "DMSR" dmstore append odd <garbage_behind
check_output "the rows before them are stored" "0 1" ids_of odd
check_error "a payload of another length" 1 "row 1" dmstore append odd <long_payload
check_error "columns that are not there" 1 "column" dmstore append odd <unknown_column
check_error "a bit after the last example in a frame" 1 "after the last" dmstore append odd <stray_bit
check_error "a bool that is none" 1 "not 0 or 1" dmstore append odd <wrong_bool
check_error "a text where frames are wanted" 1 "DMSR" dmstore append odd <rows.jsonl

# ---- acknowledgements come while the pipe is still open

create live
mkfifo pipe answers
"$DMSTORE" append live --format jsonl --acknowledge <pipe >answers &
appender=$!
exec 8>pipe 9<answers
for id in 3 1 2; do
    echo "{\"id\": $id, \"mask\": [$id]}" >&8
    if read -r -t 20 answer <&9 && [ "$answer" = $id ] && has live $id >/dev/null; then
        pass "row $id is acknowledged when it is durable"
    else
        fail "row $id is acknowledged when it is durable" "${answer-}"
    fi
done
kill -KILL $appender
wait $appender 2>/dev/null
exec 8>&- 9<&-
check_output "and stays after kill -9" "1 2 3" ids_of live
create stopped
"$DMSTORE" append stopped --format jsonl <pipe >/dev/null 2>stopped.txt &
appender=$!
exec 8>pipe
echo '{"id": 1, "mask": []}' >&8
sleep 0.3
kill -TERM $appender
wait $appender
check_output "SIGTERM ends it with status 1" 1 echo $?
exec 8>&-
check_output "and what had come is stored" 1 ids_of stopped

# ---- a column that is added while a worker appends

create growing
"$DMSTORE" append growing --format jsonl --acknowledge <pipe >answers &
appender=$!
exec 8>pipe 9<answers
row() { echo "{\"id\": $1, \"mask\": [1], \"outputs\": {\"level\": $1}, \"scalars\": {\"loss\": $1}}" >&8; }
row 1
read -r -t 20 answer <&9
dmstore add-column growing --output wide:1000 --scalar late:f64
row 2
if read -r -t 20 answer <&9 && [ "$answer" = 2 ]; then
    pass "its rows still come in"
else
    fail "its rows still come in" "${answer-}"
fi
exec 8>&- 9<&-
wait $appender
check_error "without values in the new column" 1 "model 1" dmstore export growing --scalar late=late.npy
dmstore export growing --output level=level.npy --scalar loss=loss.npy >/dev/null
check_python "and whole in the others" <<'END'
assert np.load("level.npy").tolist() == [[1], [2]] and np.load("loss.npy").tolist() == [1, 2]
END

# ---- sampled masks

dmstore create drawn --examples 1000 --output margins:1
line() { echo "{\"id\": $1, $2\"outputs\": {\"margins\": [$1]}}"; }
check "rows may leave a sampled mask out" dmstore append drawn --format jsonl --sampled 0.3:9 \
    < <(line 7 ""; line 8 "")
check_output "it is drawn" "$(dmstore sample --examples 1000 --alpha 0.3 --seed 9 --id 8 --format indices | tr ' ' '\n')" \
    dmstore get drawn --id 8 --mask
check_error "a mask that was not sampled" 1 "model 9" dmstore append drawn --format jsonl --sampled 0.3:9 \
    < <(line 9 '"mask": [1, 2], ')
check_error "a claim that is none" 2 "--sampled" dmstore append drawn --sampled often </dev/null

# ---- spools

create home
dmstore snapshot home -o manifest >/dev/null
check "append --spool, to a store" dmstore append home --spool spool --format jsonl \
    < <(printf '{"id": %d, "mask": [1]}\n' 1 2 3)
check "append --spool, to a manifest" dmstore append manifest --spool spool <frames
check_output "the store has none of it yet" "" ids_of home
check "ingest --spool" dmstore ingest home --spool spool --on-duplicate keep
check_output "collects the rows" "$(seq -s ' ' 0 699)" ids_of home
check_output "and empties the spool" "" ls spool
check "an empty spool is no error" dmstore ingest home --spool spool
check "append --spool again" dmstore append home --spool spool --on-duplicate error <frames
check "--keep-spool" dmstore ingest home --spool spool --keep-spool --on-duplicate keep
if [ -n "$(ls spool)" ]; then pass "keeps the files"; else fail "keeps the files"; fi
check "which may be collected twice" dmstore ingest home --spool spool --on-duplicate keep
check "the store is sound after that" dmstore verify home
check_error "--on-duplicate with --spool" 2 "--on-duplicate" dmstore append home --spool spool --on-duplicate keep </dev/null
check_error "a store that is not there" 1 "absent" dmstore append absent </dev/null
check_error "a batch of nothing" 2 "--batch" dmstore append home --batch 0 </dev/null
done_testing
