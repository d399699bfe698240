"""Writes the seeds of the fuzz targets' corpora: small valid inputs, laid out as format/SPEC.md says.

    make_corpus.py tests/fuzz/corpus

The inputs called found-* are what fuzzing added: the smallest of those that reach code that the seeds do not.
"""

import io
import os
import struct
import sys

import numpy as np
import zstandard


def pad(data):
    return data + bytes(-len(data) % 8)


def column(column_id, kind, dtype, name, dimensions, tile, bits):
    fixed = struct.pack("<IBBBBII", column_id, kind, dtype, len(dimensions), len(name), tile, bits)
    return fixed + struct.pack(f"<{len(dimensions)}Q", *dimensions) + pad(name)


def schema(version=1, examples=77, columns=(), metadata=(), digest=b"", codec=(0, 0)):
    fixed = [
        column(0, 1, 1, b"mask", [examples], examples, 1),
        column(1, 2, 9, b"id", [], 1, 64),
    ]
    all_columns = fixed + [column(i + 2, *fields) for i, fields in enumerate(columns)]
    head = struct.pack("<IIQIBBH", version, len(all_columns), examples, 64, *codec, 0)
    head += struct.pack("<IIII", len(digest), len(metadata), len(all_columns), 0)
    pairs = [struct.pack("<II", len(key), len(value)) + pad(key + value) for key, value in metadata]
    return head + pad(digest) + b"".join(all_columns) + b"".join(pairs)


COLUMNS = [(3, 3, b"margins", [130], 64, 16), (3, 1, b"hits", [67, 2], 64, 1), (4, 10, b"host", [], 1, 88)]
FULL_SCHEMA = schema(3, 77, COLUMNS, [(b"run", b"a"), (b"note", "été".encode())], b"\xab\xcd", (1, 3))
IDS = bytes([0, 3, 14, 2])  # 0 1 2 9 10


def edit(edit_type, body):
    body = pad(body)
    return struct.pack("<II", edit_type, len(body)) + body


def edits():
    add_group = edit(1, struct.pack("<QII", 5, 5, len(IDS)) + IDS)
    set_column = edit(2, struct.pack("<QIIQQQ", 5, 2, 4, 4096, 7, 900))
    add_batch = edit(3, struct.pack("<QIIQQII", 8, 5, len(IDS), 8192, 11, 3, 0) + IDS)
    remove = edit(6, struct.pack("<IIQ3I", 0, 3, 5, 0, 2, 4)) + edit(6, struct.pack("<IIQI", 1, 1, 8, 1))
    drops = edit(4, struct.pack("<Q", 5)) + edit(5, struct.pack("<QQ", 8, 1)) + edit(8, struct.pack("<Q", 3))
    state = edit(9, struct.pack("<QQ", 4096, 7))
    fit = edit(16, struct.pack("<QQQQQII", 9, 8192, 11, 256, 77, 4, 0) + b"main")
    fit += edit(17, struct.pack("<QQQQQQQII", 9, 5, 12288, 12, 576, 3, 78, 5, len(IDS)) + IDS)
    changed = edit(7, struct.pack("<Q", len(FULL_SCHEMA)) + FULL_SCHEMA)
    return {
        "seed-group": add_group + set_column,
        "seed-batch": add_batch,
        "seed-remove": add_group + add_batch + remove,
        "seed-drop": add_group + add_batch + drops + state,
        "seed-schema": changed,
        "seed-fit": fit,
        "seed-fit-removed": fit + edit(18, struct.pack("<Q", 9)),
    }


def records():
    segment = struct.pack("<Q16sQII", 3, bytes(range(16)), 12345, 1, 0)
    entry = struct.pack("<IIQQQQ", 2, 4, 3, 4096, 7, 900)
    group = struct.pack("<QIIII", 5, 5, 3, 1, len(IDS)) + pad(IDS) + pad(b"\x09") + entry
    batch = struct.pack("<QQQQIIII", 8, 3, 8192, 11, 5, 5, 3, len(IDS)) + pad(IDS)
    minimal = schema()
    head = struct.pack("<QQQQQ", 9, 77, 6, 9, 4)
    state = head + struct.pack("<IIIIII", 1, 1, 1, len(FULL_SCHEMA), 0, 0) + FULL_SCHEMA + segment + group + batch
    fits_state = head + struct.pack("<IIIIII", 1, 0, 0, len(minimal), 0, 1) + minimal + segment + FIT_RECORD
    manifest = head + struct.pack("<IIIIII", 1, 0, 0, len(minimal), 9, 0) + minimal + pad(b"/tmp/runs") + segment
    return {
        "seed-state": b"\0" + state,
        "seed-state-fits": b"\0" + fits_state,
        "seed-manifest": b"\0" + manifest,
        "seed-group": b"\1" + group,
        "seed-batch": b"\2" + batch,
        "seed-segment": b"\3" + segment,
        "seed-ids": b"\4" + struct.pack("<I", 5) + IDS,
    }


FIT_RECORD = struct.pack("<QQQQQQII", 9, 3, 8192, 11, 256, 77, 1, 4) + pad(b"main")
FIT_RECORD += struct.pack("<QQQQQQQII", 5, 3, 12288, 12, 576, 3, 78, 5, len(IDS)) + pad(IDS)


def fit_header(row_sets, problem):
    head = bytes(range(16)) + struct.pack("<QQQIIII", 3, 77, 130, 4, 7, len(problem), 0) + pad(b"main") + pad(b"margins")
    for row_ct, run_ct, runs in row_sets:
        head += struct.pack("<QQQII", row_ct, 11, 12, len(runs), run_ct) + pad(runs)
    return head + b"".join(pairs(problem))


def pairs(items):
    return [struct.pack("<II", len(key), len(value)) + pad(key + value) for key, value in items]


def fit_part(targets, paths, provenance):
    """targets: {target: {example: weight}}; paths: lambdas of each target."""
    text = b"".join(pairs(provenance))
    weights = [weight for of_target in targets.values() for weight in of_target.items()]
    lambdas = [value for path in paths for value in path]
    data = struct.pack("<QQQQQQQII", 11, 12, 77, 130, len(targets), len(weights), len(lambdas), len(provenance), len(text)) + text
    count = len(targets)
    arrays = [("Q", list(targets)), ("I", [16] * count), ("I", [max(len(path) - 1, 0) for path in paths])]
    arrays += [("d", [0.5] * count), ("d", [path[-1] if path else 0 for path in paths]), ("d", [1e-5] * count)]
    arrays += [("d", [2.5] * count), ("d", [0.25] * count), ("Q", [8] * count)]
    arrays += [("Q", np.cumsum([0, *map(len, targets.values())]).tolist()), ("Q", np.cumsum([0, *map(len, paths)]).tolist())]
    arrays += [("I", [example for example, _ in weights]), ("d", [weight for _, weight in weights])]
    arrays += [("d", lambdas), ("d", [float("nan")] * len(lambdas)), ("d", [0.0] * len(lambdas)), ("I", [1] * len(lambdas))]
    for letter, values in arrays:
        data += bytes(-len(data) % 64) + struct.pack(f"<{len(values)}{letter}", *values)
    return data


def fits():
    row_sets = [(5, 2, IDS), (1, 1, bytes([40, 1])), (0, 0, b"")]
    one = fit_part({7: {0: 1.5, 76: -2.0}}, [[2.0, 1.0]], [(b"host", b"gpu01"), (b"seed", b"7")])
    several = fit_part({0: {}, 5: {3: 1.0}, 129: {1: 0.5, 2: 0.25}}, [[], [1.0], [4.0, 2.0, 1.0]], [])
    return {
        "seed-header": b"\0" + fit_header(row_sets, [(b"lambdas", b"100"), (b"standardize", b"true")]),
        "seed-header-bare": b"\0" + fit_header([(0, 0, b"")] * 3, []),
        "seed-part": b"\1" + one,
        "seed-part-several": b"\1" + several,
        "seed-record": b"\2" + FIT_RECORD,
    }


def schemas():
    return {"seed-minimal": schema(), "seed-full": FULL_SCHEMA}


def npy_files():
    dictionary = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}\n"
    files = {"seed-version-2": b"\x93NUMPY\2\0" + struct.pack("<I", len(dictionary)) + dictionary}
    for array in (np.zeros((5, 3), bool), np.zeros((7, 2, 3), "<f2"), np.zeros(4, "<u8"), np.zeros(2, "S9")):
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        files[f"seed-{array.dtype.name}"] = file.getvalue()
    return files


def frames():
    def frame(model, columns, payload):
        return b"DMSR" + struct.pack("<IQQ", len(payload), model, columns) + payload

    mask, margins, hits = b"\xff\x1f", struct.pack("<6e", *range(6)), b"\0\1\1"
    alpha, host = struct.pack("<d", 0.5), b"gpu01"
    return {
        "seed-whole": frame(7, 15, mask + margins + hits + alpha + host),
        "seed-two": frame(1, 0, mask) + frame(2, 6, mask + hits + alpha),
    }


def block(block_type, fields, payload, first_byte, magic=b"dmsBlock", offset=4096):
    head = magic + struct.pack("<BBHIQQQQ", block_type, 1, 128, 0, 3, offset, len(payload), 0)
    return bytes([first_byte]) + head + fields.ljust(80, b"\0") + payload


def chunk(position, dtype, row_ct, target_ct, encoding, codec, stride, decoded, encoded, payload, first_target=0):
    fields = struct.pack("<QIIQIBBBBII", 5, position, row_ct, first_target, target_ct, encoding, codec, dtype, 0, stride, 0)
    return block(2, fields + struct.pack("<QQQQ", decoded, 0, 0, encoded), payload, position)


def blocks():
    compress = zstandard.ZstdCompressor(1, write_content_size=True).compress
    halves = np.arange(2 * 64, dtype="<f2").tobytes()
    planes = np.frombuffer(halves, np.uint8).reshape(-1, 2).T.tobytes()
    mask = bytes(range(20))
    sampled = struct.pack("<QII", 42, 30, 1) + struct.pack("<QII", 42, 77, 1)
    floats = np.arange(6 * 3, dtype="<f4").tobytes()
    segment = struct.pack("<16s16sQIIQQQQII", bytes(16), bytes(16), 3, 1, 0, 0, 0, 0, 1, 1, len(FULL_SCHEMA))
    commit = struct.pack("<QQQQIIQQQQ", 9, 8, 4096, 7, 1, 1, 6, 5, 4, 3)
    return {
        "seed-segment": block(1, b"", segment + FULL_SCHEMA, 0, bytes.fromhex("89444D530D0A1A0A"), 0),
        "seed-mask-plain": chunk(0, 1, 2, 77, 0, 0, 16, 20, 32, mask[:10] + bytes(6) + mask[10:] + bytes(6)),
        "seed-mask-zstd": chunk(0, 1, 2, 77, 0, 1, 0, 20, 20, compress(mask)),
        "seed-mask-sampled": chunk(0, 1, 2, 77, 3, 0, 0, 20, 32, sampled),
        "seed-mask-sampled-zstd": chunk(0, 1, 2, 77, 3, 1, 0, 20, 32, compress(sampled)),
        "seed-ids": chunk(1, 9, 5, 1, 2, 0, 0, 40, len(IDS), IDS),
        "seed-ids-zstd": chunk(1, 9, 5, 1, 2, 1, 0, 40, len(IDS), compress(IDS)),
        "seed-margins-planes": chunk(2, 3, 2, 64, 1, 1, 0, 256, 256, compress(planes)),
        "seed-margins-planes-raw": chunk(2, 3, 2, 64, 1, 0, 0, 256, 256, planes),
        "seed-logits-plain": chunk(3, 4, 1, 6, 0, 0, 80, 72, 80, floats + bytes(8), 64),
        "seed-text-plain": chunk(7, 10, 2, 1, 0, 0, 16, 22, 32, b"gpu01".ljust(16, b"\0") + b"a".ljust(16, b"\0")),
        "seed-directory": block(3, struct.pack("<QIIIII", 5, 2, 5, 1, 4, 64), bytes(40), 0),
        "seed-rows": block(4, struct.pack("<QIII", 8, 1, 64, 3), bytes(64), 0),
        "seed-state": block(5, struct.pack("<Q", 9), bytes(8), 0),
        "seed-commit": block(6, commit, bytes(8), 0),
        "seed-fit": block(7, struct.pack("<Q", 9), bytes(8), 0),
        "seed-fit-part": block(8, struct.pack("<QQQQQ", 9, 5, 3, 0, 129), bytes(8), 0),
    }


def json_lines():
    row = b'{"id": 18446744073709551615, "mask": "ff1f", "outputs": {"margins": [1, -2.5e3, NaN, -Infinity]}, "host": "\\u00e9\\ud83d\\ude00\\n"}'
    indices = b' {"id":7,"indices":[0,5,12],"sampled":{"alpha":"0.5","seed":1},"skip":[[[{}]],true,false,null]}\n'
    return {"seed-hex": b"\0" + row, "seed-indices": b"\0" + indices, "seed-skip": b"\1" + indices, "seed-empty": b"\0"}


def jsonl_rows():
    outputs = b'"outputs": {"margins": [[1, -2.5], [NaN, null], ["Infinity", 65504]], "hits": [true, 0]}'
    scalars = b'"scalars": {"alpha": 0.5, "host": "gpu\\u0031", "time": -9223372036854775808}'
    return {
        "seed-whole": b'\0{"id": 18446744073709551615, "mask": "ff1F", ' + outputs + b", " + scalars + b"}",
        "seed-indices": b'\0{"mask": [0, 5, 12], "id": 7, "outputs": {"margins": [1, 2, 3, 4, 5, 6]}}',
        "seed-drawn": b'\1{"id": 7, ' + scalars + b"}",
    }


def pair_file(examples, ranges, singles, widths, file_bytes=None, version=1):
    lists = b"".join(struct.pack("<QQ", *range_) for range_ in ranges) + pad(struct.pack(f"<{examples}I", *singles))
    lists += b"".join(struct.pack("<QQ", tile, width) for tile, width in enumerate(widths))
    lists += bytes(-(128 + len(lists)) % 64)
    if file_bytes is None:
        file_bytes = 128 + len(lists) + sum(widths) * 128 * 128
    rows = sum(count for _, count in ranges)
    head = b"DMSPAIRS" + struct.pack("<Q16sQQQQQQQQ", version, bytes(range(16)), 9, examples, rows, 11, 12, len(ranges), file_bytes, 0)
    return head.ljust(128, b"\0") + lists


def pair_files():
    ranges = [(0, 3), (5, 1), (2**64 - 2, 2)]
    several = pair_file(130, ranges, [k % 7 for k in range(130)], [1, 2, 4])
    return {
        "seed-one-tile": pair_file(3, [(0, 5)], [5, 0, 2], [1]),
        "seed-several": several,
        "seed-no-models": pair_file(1, [], [0], [1]),
        "cut-short": several[:-64],
        "ranges-touch": pair_file(3, [(0, 3), (3, 1)], [1, 2, 3], [1]),
        "range-past-the-end": pair_file(3, [(2**64 - 1, 2)], [1, 2, 0], [1]),
        "single-too-large": pair_file(3, [(0, 5)], [5, 6, 2], [2]),
        "width-of-three": pair_file(3, [(0, 5)], [5, 0, 2], [3]),
        "tiles-past-the-end": pair_file(130, ranges, [0] * 130, [1, 2, 4], 128 + 1024 + 4 * 128 * 128),
        "newer-version": pair_file(3, [(0, 5)], [5, 0, 2], [1], version=2),
    }


def product_file(examples, ranges, singles, entries, file_bytes=None, version=1):
    """entries: (fingerprint, total, width, shift, largest)"""
    lists = b"".join(struct.pack("<QQ", *range_) for range_ in ranges) + pad(struct.pack(f"<{examples}I", *singles))
    lists += b"".join(struct.pack("<QQqBBH4x", 7 if entry[2] else 0, *entry) for entry in entries)
    sums = bytes(range(256)) * 8
    sums = sums[: examples * sum(entry[2] for entry in entries)]
    if file_bytes is None:
        file_bytes = 128 + len(lists) + len(sums)
    rows = sum(count for _, count in ranges)
    head = b"DMSPRODS" + struct.pack(
        "<Q16s10Q", version, bytes(range(16)), 9, examples, rows, 11, 12, len(ranges), file_bytes, 0, 3, len(entries)
    )
    return head.ljust(128, b"\0") + lists + sums


def product_files():
    ranges = [(0, 3), (5, 1), (2**64 - 2, 2)]
    plain, none = (99, -1000, 2, 0, 0x3C00), (0, 0, 0, 0, 0)
    return {
        "seed-one-target": product_file(3, [(0, 5)], [5, 0, 2], [plain]),
        "seed-several": product_file(40, ranges, [k % 7 for k in range(40)], [plain, none, (2**64 - 1, 2**52, 7, 52, 0x7BFF), plain]),
        "no-models": product_file(1, [], [0], [plain]),
        "no-targets": product_file(3, [(0, 5)], [5, 0, 2], []),
        "cut-short": product_file(3, ranges, [5, 0, 2], [plain, plain])[:-40],
        "width-of-eight": product_file(3, [(0, 5)], [5, 0, 2], [(99, -1000, 8, 0, 0x3C00)]),
        "shift-too-large": product_file(3, [(0, 5)], [5, 0, 2], [(99, 0, 1, 53, 0x3C00)]),
        "smallest-total": product_file(3, [(0, 5)], [5, 0, 2], [(99, -(2**63), 7, 0, 0x3C00)]),
        "total-too-large": product_file(3, [(0, 5)], [5, 0, 2], [(99, 2**52 + 1, 7, 0, 0x3C00)]),
        "total-no-multiple": product_file(3, [(0, 5)], [5, 0, 2], [(99, 6, 1, 2, 0x3C00)]),
        "seed-sums-too-large": product_file(3, [(0, 5)], [5, 0, 2], [(99, 2**52, 7, 52, 0x3C00)]),
        "nothing-with-total": product_file(3, [(0, 5)], [5, 0, 2], [(0, 5, 0, 0, 0)]),
        "targets-past-the-end": product_file(3, [(0, 5)], [5, 0, 2], [plain], 128 + 32 + 32 + 16),
        "newer-version": product_file(3, [(0, 5)], [5, 0, 2], [plain], version=2),
    }


def main():
    corpora = {
        "block": blocks(),
        "edit": edits(),
        "fit": fits(),
        "frame": frames(),
        "json": json_lines(),
        "jsonl": jsonl_rows(),
        "npy": npy_files(),
        "pairs": pair_files(),
        "products": product_files(),
        "schema": schemas(),
        "state": records(),
    }
    for target, inputs in corpora.items():
        directory = os.path.join(sys.argv[1], target)
        os.makedirs(directory, exist_ok=True)
        for name, data in inputs.items():
            with open(os.path.join(directory, name), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    main()
