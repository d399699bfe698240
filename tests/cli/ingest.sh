#!/usr/bin/env bash
# dmstore ingest and export: what goes in comes out bit for bit, whichever rows are chosen and however they are converted.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

# ---- the published layout: masks bool (m, d), margins float16 (m, n), ids 0 .. m-1

python <<'END'
rng = np.random.default_rng(1)
m, d, n = 1000, 203, 130
np.save("masks.npy", rng.random((m, d)) < 0.5)
margins = rng.normal(size=(m, n)).astype(np.float16)
margins[3, 5:9] = [np.nan, np.inf, -np.inf, -0.0]
margins.view(np.uint16)[4, 0:2] = [0x7d55, 0xfe01]  # NaNs with payloads, one of them signalling
np.save("margins.npy", margins)
np.save("logits.npy", rng.normal(size=(m, 6, 4)).astype(np.float32))
np.save("seen.npy", rng.random((m, 11)) < 0.3)
np.save("level.npy", rng.integers(0, 256, (m, 9), np.uint8))
np.save("loss.npy", rng.normal(size=m))
np.save("step.npy", rng.integers(-2**40, 2**40, m))
np.save("host.npy", np.array([f"node{i % 7}".encode() for i in range(m)], "S6"))
END
columns="--output margins:130 --output logits:6x4:f32 --output seen:11:bool --output level:9:u8
    --scalar loss:f64 --scalar step:i64 --scalar host:s6"
inputs="--masks masks.npy --output margins=margins.npy --output logits=logits.npy --output seen=seen.npy
    --output level=level.npy --scalar loss=loss.npy --scalar step=step.npy --scalar host=host.npy"
mkdir out
outputs="--masks out/masks.npy --output margins=out/margins.npy --output logits=out/logits.npy --output seen=out/seen.npy
    --output level=out/level.npy --scalar loss=out/loss.npy --scalar step=out/step.npy --scalar host=out/host.npy"
for codec in none zstd auto; do
    dmstore create "$codec" --examples 203 --chunk-rows 128 --codec "$codec" $columns
    check "ingest, codec $codec" dmstore ingest "$codec" $inputs
    check "verify, codec $codec" dmstore verify "$codec"
    check "export, codec $codec" dmstore export "$codec" $outputs
    for file in masks margins logits seen level loss step host; do
        check_same "$file are the same bytes, codec $codec" $file.npy out/$file.npy
        rm -f out/$file.npy
    done
done
check "the same ingest again" dmstore ingest none $inputs --json
cp "$stdout_file" report.json
check_python "finds every row there, unchanged" report.json <<'END'
import json
report = json.load(open(sys.argv[1]))
assert report["rows"] == 1000 and report["unchanged"] == 1000 and report["added"] == 0, report
END
check "packed masks out" dmstore export none --masks packed.npy --packed-masks --ids ids.npy
check_python "are numpy's packbits, and the ids 0 to 999" <<'END'
masks = np.load("masks.npy")
assert bits(np.load("packed.npy")) == bits(np.packbits(masks, axis=1, bitorder="little"))
assert bits(np.load("ids.npy")) == bits(np.arange(1000, dtype=np.uint64))
END
dmstore create from_packed --examples 203
check "packed masks in" dmstore ingest from_packed --masks packed.npy --packed-masks
check "out again" dmstore export from_packed --masks unpacked.npy
check_same "are the same masks" masks.npy unpacked.npy
check "uint8 masks" python <<'END'
np.save("bytes.npy", np.load("masks.npy").astype(np.uint8))
END
check "are the same, too" dmstore ingest from_packed --masks bytes.npy

# ---- choosing rows, naming ids

# take NAME OPTION...: a store of masks with these options, exported to NAME.npy and NAME_ids.npy
take() {
    dmstore create "store_$1" --examples 203 --output margins:130 &&
        dmstore ingest "store_$1" --masks masks.npy --output margins=margins.npy "${@:2}" &&
        dmstore export "store_$1" --masks "$1.npy" --output "margins=$1_margins.npy" --ids "$1_ids.npy"
}
# check_rows DESCRIPTION NAME ROWS IDS: expressions of numpy
check_rows() {
    check_python "$1" "$2" "$3" "$4" <<'END'
name, rows, ids = sys.argv[1], eval(sys.argv[2]), eval(sys.argv[3])
order = np.argsort(ids)
assert bits(np.load(name + "_ids.npy")) == bits(np.asarray(ids, np.uint64)[order])
assert bits(np.load(name + ".npy")) == bits(np.load("masks.npy")[rows][order])
assert bits(np.load(name + "_margins.npy")) == bits(np.load("margins.npy")[rows][order])
END
}
check "--rows A:B" take some --rows 100:333
check_rows "takes them under their own numbers" some "np.arange(100, 333)" "np.arange(100, 333)"
check "--rows A:" take tail --rows 990: --first-id 5000
check_rows "counts ids from row 0 of the file" tail "np.arange(990, 1000)" "np.arange(5990, 6000)"
check "--rows :B" take head --rows :7
check_rows "starts at row 0" head "np.arange(7)" "np.arange(7)"
check "--rows A:A" take nothing --rows 5:5
check_rows "takes none" nothing "np.arange(0)" "np.arange(0)"
check_error "rows that the files do not have" 1 "1000" take beyond --rows 900:1001
check_error "rows the wrong way round" 2 "--rows" take backward --rows 9:5
check_error "rows that are none" 2 "--rows" take unclear --rows 5

python <<'END'
rng = np.random.default_rng(2)
done = rng.random(1000) < 0.7
np.save("_completed.npy", done)
np.save("completed_column.npy", done[:, None].astype(np.int64) * 3)
ids = rng.permutation(5000)[:1000]
np.save("ids64.npy", ids)
np.save("ids16.npy", ids.astype(np.uint16)[:, None])
garbage = ids.copy()
garbage[~done] = -1
np.save("ids_of_completed.npy", garbage)
twice = ids.copy()
twice[70] = twice[700]
np.save("ids_twice.npy", twice)
np.save("large_ids.npy", np.arange(2**64 - 1000, 2**64 - 1, dtype=np.uint64))
END
check "--completed, bool (m,)" take completed --completed _completed.npy
check_rows "only completed rows come in" completed 'np.flatnonzero(np.load("_completed.npy"))' \
    'np.flatnonzero(np.load("_completed.npy"))'
check "--completed, int64 (m, 1), with --rows and --first-id" take completed_part --completed completed_column.npy \
    --rows 200:800 --first-id 10
check_rows "choose together" completed_part '200 + np.flatnonzero(np.load("_completed.npy")[200:800])' \
    '210 + np.flatnonzero(np.load("_completed.npy")[200:800])'
check "--ids in any order" take by_ids --ids ids64.npy
check_rows "rows come out by id" by_ids "np.arange(1000)" 'np.load("ids64.npy")'
check "--ids of uint16, (m, 1)" take by_ids16 --ids ids16.npy
check_rows "are the same ids" by_ids16 "np.arange(1000)" 'np.load("ids64.npy")'
check "ids of rows that are not taken do not matter" take some_ids --ids ids_of_completed.npy --completed _completed.npy
check_error "a negative id that is taken" 1 "negative" take negative --ids ids_of_completed.npy
check_error "an id that comes twice is named" 1 \
    "$(python <<<'print(np.load("ids_twice.npy")[700])')" take repeated --ids ids_twice.npy
check_error "an ids file of another length" 1 "large_ids.npy" take other_length --ids large_ids.npy
check_error "ids beyond 64 bits" 1 "2^64" take too_far --first-id 18446744073709551000
check_error "--ids with --first-id" 2 "--ids" take both --first-id 5 --ids ids64.npy

# ---- conversions

python <<'END'
rng = np.random.default_rng(3)
m, n = 300, 500
half = np.arange(65536, dtype=np.uint16)
half = half[(half & 0x7fff) < 0x7c00].view(np.float16).astype(np.float32)
middle = (half[:-1] + half[1:]) / 2  # ties, also between signs
values = np.concatenate([half, middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf)),
                         np.float32([np.inf, -np.inf, np.nan, 1e-30, -1e-30, 65519.996, -65519.996])])
values = values[~((np.abs(values) >= 65520) & np.isfinite(values))]
x = np.resize(values, (m, (len(values) + m - 1) // m)).astype(np.float32)
np.save("f32.npy", x)
np.save("row_masks.npy", rng.random((m, 50)) < 0.5)
np.save("f16.npy", rng.normal(size=(m, 7)).astype(np.float16))
np.save("zero_one.npy", rng.integers(0, 2, (m, 5), np.uint8))
np.save("flags.npy", rng.random((m, 5)) < 0.5)
END
width=$(python <<<'print(np.load("f32.npy").shape[1])')
dmstore create convert --examples 50 --chunk-rows 64 --output rounded:$width:f16 --output widened:7:f32 \
    --output to_bool:5:bool --output to_u8:5:u8
check "float32 into float16, float16 into float32, uint8 into bool, bool into uint8" dmstore ingest convert \
    --masks row_masks.npy --output rounded=f32.npy --output widened=f16.npy --output to_bool=zero_one.npy \
    --output to_u8=flags.npy
check "export them" dmstore export convert --output rounded=rounded.npy --output widened=widened.npy \
    --output to_bool=to_bool.npy --output to_u8=to_u8.npy
check_python "are what numpy makes of them" <<'END'
wanted, got = np.load("f32.npy").astype(np.float16), np.load("rounded.npy")
assert got.dtype == np.float16 and (np.isnan(wanted) == np.isnan(got)).all()
same = wanted.view(np.uint16) == got.view(np.uint16)
assert (same | np.isnan(wanted)).all(), np.argwhere(~same)[:5]
assert bits(np.load("widened.npy")) == bits(np.load("f16.npy").astype(np.float32))
assert bits(np.load("to_bool.npy")) == bits(np.load("zero_one.npy").astype(bool))
assert bits(np.load("to_u8.npy")) == bits(np.load("flags.npy").astype(np.uint8))
END

# check_scalar DESCRIPTION DTYPE EXPRESSION [TEXT]: three values; with TEXT they are refused with it
scalar_ct=0
check_scalar() {
    local store=scalar$((scalar_ct += 1))
    python "$3" <<<'np.save("scalar.npy", eval(sys.argv[1]))'
    python <<<'np.save("three.npy", np.zeros((3, 8), bool))'
    dmstore create "$store" --examples 8 --scalar "value:$2"
    if [ $# -eq 4 ]; then
        check_error "$1" 1 "$4" dmstore ingest "$store" --masks three.npy --scalar value=scalar.npy
        return
    fi
    run dmstore ingest "$store" --masks three.npy --scalar value=scalar.npy
    dmstore export "$store" --scalar value=back.npy >/dev/null
    check_python "$1" "$2" <<'END'
before, after = np.load("scalar.npy").reshape(3), np.load("back.npy")
if sys.argv[1][0] == "s":
    assert list(before) == list(after)
else:
    kind = {"f": "float", "i": "int", "u": "uint", "b": "bool"}[sys.argv[1][0]]
    assert after.dtype == kind + ("" if kind == "bool" else sys.argv[1][1:]), after.dtype
    for x, y in zip(before.tolist(), after.tolist()):
        assert x == y or (x != x and y != y), (x, y)
END
}
check_scalar "int64 into u32" u32 "np.array([0, 7, 2**32 - 1])"
check_scalar "int64 beyond u32" u32 "np.array([0, 7, 2**32])" "row 2: 4294967296"
check_scalar "a negative number into u64" u64 "np.array([0, -7, 1])" "row 1: -7"
check_scalar "uint64 into u64" u64 "np.array([0, 2**63, 2**64 - 1], np.uint64)"
check_scalar "uint64 into i64" i64 "np.array([0, 1, 2**63 - 1], np.uint64)"
check_scalar "uint64 beyond i64" i64 "np.array([0, 1, 2**63], np.uint64)" "9223372036854775808"
check_scalar "int8 into i32, (m, 1)" i32 "np.array([[-128], [0], [127]], np.int8)"
check_scalar "whole floats into i32" i32 "np.array([-2.0**31, 0.0, 2.0**31 - 1])"
check_scalar "a fraction into i32" i32 "np.array([0, 1.5, 2])" "1.5"
check_scalar "NaN into i32" i32 "np.array([0, np.nan, 2])" "nan"
check_scalar "float64 into f32, exact" f32 "np.array([0.5, np.nan, -np.inf])"
check_scalar "float64 into f32, not exact" f32 "np.array([0.5, 0.1, 0])" "rounded"
check_scalar "integers into f16, exact" f16 "np.array([2048, -1, 65504])"
check_scalar "integers into f16, not exact" f16 "np.array([2048, 2049, 0])" "2049"
check_scalar "integers into f16, too large" f16 "np.array([0, 0, 65520])" "65504"
check_scalar "2^53 + 1 into f64" f64 "np.array([0, 2**53, 2**53 + 1])" "9007199254740993"
check_scalar "2^64 - 1 into f64" f64 "np.array([0, 0, 2**64 - 1], np.uint64)" "18446744073709551615"
check_scalar "float16 into f64" f64 "np.array([1.5, -0.0, 6e-8], np.float16)"
check_scalar "integers into bool" bool "np.array([0, 1, 1])"
check_scalar "2 into bool" bool "np.array([0, 1, 2])" "row 2: 2"
check_scalar "short texts" s9 "np.array([b'a', b'', b'abcdef'])"
check_scalar "texts that are too long" s3 "np.array([b'abc', b'abcd', b''])" "row 1"
check_scalar "numbers into texts" s3 "np.arange(3)" "int64"
check_scalar "texts into numbers" u8 "np.array([b'1', b'2', b'3'])" "bytes1"
done_testing
