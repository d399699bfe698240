#!/usr/bin/env bash
# dmstore ingest: every wrong file is an error that says what is wrong, and leaves the store as it was.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

python <<'END'
import struct

rng = np.random.default_rng(7)
m, d, n = 40, 100, 12
masks = rng.random((m, d)) < 0.5
margins = rng.normal(size=(m, n)).astype(np.float16)
np.save("masks.npy", masks)
np.save("margins.npy", margins)

def npy(name, header, data, version=(1, 0)):
    """A file whose header is this text."""
    text = header.encode()
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    open(name, "wb").write(b"\x93NUMPY" + bytes(version) + length + text + data)

shape = "{'descr': '|b1', 'fortran_order': False, 'shape': (%s), }\n"
data = masks.tobytes()
npy("lies_more.npy", shape % "41, 100", data)
npy("lies_less.npy", shape % "39, 100", data)
npy("lies_huge.npy", shape % "4611686018427387904, 100", data)
npy("lies_overflow.npy", shape % "184467440737095516160, 100", data)
npy("negative_shape.npy", shape % "-40, 100", data)
npy("long_header.npy", shape % "40, 100", data, (2, 0))
whole = open("long_header.npy", "rb").read()
open("long_header.npy", "wb").write(whole[:8] + b"\xff\xff\xff\x7f" + whole[12:])
npy("version_2.npy", shape % "40, 100", data, (2, 0))
npy("version_3.npy", shape % "40, 100", data, (3, 0))
npy("version_4.npy", shape % "40, 100", data, (4, 0))
npy("no_shape.npy", "{'descr': '|b1', 'fortran_order': False, }\n", data)
npy("no_dictionary.npy", "hello\n", data)
npy("code.npy", "__import__('os').system('touch pwned')\n", data)
open("empty.npy", "wb").close()
open("text.npy", "w").write("not an array\n")
for cut in (5, 9, 30, 127, 128, 1000, len(whole) - 1):
    open(f"cut_{cut}.npy", "wb").write(open("masks.npy", "rb").read()[:cut])
np.save("fortran.npy", np.asfortranarray(masks))
np.save("fortran_margins.npy", np.asfortranarray(margins))
np.save("big_endian.npy", margins.astype(">f2"))
np.save("double.npy", margins.astype(np.float64))
np.save("integers.npy", np.zeros((m, n), np.int16))
np.save("complex.npy", margins.astype(np.complex64))
np.save("object.npy", np.full((m, n), None), allow_pickle=True)
np.save("structured.npy", np.zeros((m, n), [("a", "<f2"), ("b", "<f2")]))
np.save("unicode.npy", np.full((m, n), "x"))
np.save("float_masks.npy", masks.astype(np.float32))
np.save("int64_masks.npy", masks.astype(np.int64))
np.save("other_d.npy", rng.random((m, 101)) < 0.5)
np.save("flat.npy", masks.reshape(-1))
np.save("scalar.npy", np.array(True))
np.save("wide.npy", np.zeros((m, n + 1), np.float16))
np.save("deep.npy", np.zeros((m, n, 1), np.float16))
np.save("rows_39.npy", margins[:39])
two = masks.astype(np.uint8)
two[17, 42] = 2
np.save("two.npy", two)
lying_bool = two.view(bool)
np.save("bool_200.npy", np.where(two == 2, 200, two).astype(np.uint8).view(bool))
np.save("packed.npy", np.packbits(masks, axis=1, bitorder="little"))
np.save("packed_big.npy", np.packbits(np.ones_like(masks), axis=1))
stray = np.packbits(masks, axis=1, bitorder="little")
stray[33, -1] |= 0x10
np.save("stray_bit.npy", stray)
large = margins.astype(np.float32)
large[21, 7] = 65520
np.save("overflow.npy", large)
cube = np.zeros((m, 3, 4), np.float32)
cube[9, 2, 1] = -1e10
np.save("cube_overflow.npy", cube)
np.save("flags_of_39.npy", np.ones(39, bool))
np.save("float_flags.npy", np.ones(m))
np.save("wide_flags.npy", np.ones((m, 2), bool))
np.save("float_ids.npy", np.arange(m) * 1.0)
np.save("negative_ids.npy", np.arange(m) - 1)
np.save("ids_twice.npy", np.where(np.arange(m) == 30, 7, np.arange(m)))
END
cat masks.npy masks.npy >two_arrays.npy

dmstore create store --examples 100 --output margins:12 --output cube:3x4
dmstore ingest store --masks masks.npy --output margins=margins.npy --rows 0:20 >/dev/null
before=$(find store -type f -name '*.dms' -exec sha256sum {} + | sort)

refuse() { # DESCRIPTION TEXT OPTION...
    check_error "$1" 1 "$2" dmstore ingest store "${@:3}"
}
masks() { # DESCRIPTION TEXT FILE
    refuse "$1" "$2" --masks "$3"
    if ! grep -qF -- "$3" "$stderr_file"; then
        fail "$1: the message names the file" "$(cat "$stderr_file")"
    fi
}
margins() { # DESCRIPTION TEXT FILE
    refuse "$1" "$2" --masks masks.npy --output "margins=$3"
    if ! grep -qF -- "$3" "$stderr_file"; then
        fail "$1: the message names the file" "$(cat "$stderr_file")"
    fi
}
masks "a shape that claims a row more" "cut short" lies_more.npy
masks "a shape that claims a row less" "not one array" lies_less.npy
masks "a shape of 2^62 rows" "larger than any file" lies_huge.npy
masks "a shape beyond 64 bits" "shape" lies_overflow.npy
masks "a negative shape" "shape" negative_shape.npy
masks "a header of 2 GiB" "header" long_header.npy
masks "version 4.0" "4.0" version_4.npy
masks "a header without shape" "shape" no_shape.npy
masks "a header without a dictionary" "no_dictionary.npy" no_dictionary.npy
masks "a header that is a program" "code.npy" code.npy
masks "an empty file" "not a .npy file" empty.npy
masks "a text" "not a .npy file" text.npy
masks "a directory" "regular file" store
masks "a file that is not there" "No such file" absent.npy
masks "two arrays in one file" "not one array" two_arrays.npy
for cut in 5 9 30 127 128 1000; do
    masks "a file cut at byte $cut" "cut_$cut.npy" cut_$cut.npy
done
masks "Fortran order" "Fortran" fortran.npy
masks "float masks" "float32" float_masks.npy
masks "int64 masks" "int64" int64_masks.npy
masks "masks of another training set" "(40, 101)" other_d.npy
masks "masks in one dimension" "(4000,)" flat.npy
masks "an array without rows" "scalar.npy" scalar.npy
masks "a mask value of 2" "row 17, column 42" two.npy
masks "a bool of 200" "row 17, column 42" bool_200.npy
masks "packed masks without --packed-masks" "--packed-masks" packed.npy
refuse "plain masks with --packed-masks" "leave --packed-masks out" --masks two.npy --packed-masks
refuse "a bit after the last example" "row 33" --masks stray_bit.npy --packed-masks
refuse "masks packed in big bit order" "little" --masks packed_big.npy --packed-masks
margins "Fortran order of outputs" "Fortran" fortran_margins.npy
margins "big-endian outputs" "endian" big_endian.npy
margins "float64 outputs" "float64" double.npy
margins "integer outputs" "int16" integers.npy
margins "complex outputs" "c8" complex.npy
margins "objects" "O" object.npy
margins "a structured type" "structured" structured.npy
margins "unicode" "U1" unicode.npy
margins "a target too many" "(40, 13)" wide.npy
margins "a dimension too many" "(40, 12, 1)" deep.npy
margins "a row too few" "40" rows_39.npy
margins "a float32 value that overflows float16 is named" "row 21, column 7" overflow.npy
refuse "also in an output of two dimensions" "row 9, column 2, value 1" --masks masks.npy --output cube=cube_overflow.npy
refuse "flags of another number of rows" "39" --masks masks.npy --completed flags_of_39.npy
refuse "flags that are floats" "float64" --masks masks.npy --completed float_flags.npy
refuse "two flags a row" "(40, 2)" --masks masks.npy --completed wide_flags.npy
refuse "ids that are floats" "float64" --masks masks.npy --ids float_ids.npy
refuse "a negative id" "row 0" --masks masks.npy --ids negative_ids.npy
refuse "an id that two rows have" "model id 7" --masks masks.npy --ids ids_twice.npy

after=$(find store -type f -name '*.dms' -exec sha256sum {} + | sort)
if [ "$before" = "$after" ] && [ ! -e pwned ]; then
    pass "the store is what it was"
else
    fail "the store is what it was" "before:" "$before" "after:" "$after"
fi
check "and sound" dmstore verify store
for version in 2 3; do
    check "a file of version $version.0 goes in" dmstore ingest store --masks version_$version.npy --first-id ${version}000
done

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$work_dir"
    cp masks.npy secret.npy
    chmod 600 secret.npy
    chmod -R a+rwX store
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$DMSTORE" "$@"; }
    check_error "a file without permission" 1 "Permission denied" as_nobody ingest store --masks secret.npy
    chmod -R go-rwx store
    check_error "a store without permission" 1 "ermission" as_nobody ingest store --masks masks.npy
    check_error "an export into a directory without permission" 1 "ermission" as_nobody export store --ids ids.npy
else
    skip "a file without permission" "not root, or no setpriv"
fi
done_testing
