"""An independent reader of fits, written from format/SPEC.md section 10 alone; see reader.py.

    fits.py STORE|MANIFEST|PART_FILE             prints which fits there are
    fits.py STORE|MANIFEST|PART_FILE --export D  writes D/FIT/ with the arrays of `dmstore export-fit --sparse`, checking all of it
"""

import argparse
import os
import struct
import sys

import numpy as np

from reader import (
    FIT,
    FIT_PART,
    MANIFEST,
    PART_FILE,
    SEGMENT,
    Cursor,
    FormatError,
    SegmentFile,
    align,
    decode_ids,
    hash128,
    open_segments,
    read_manifest,
    replay,
    require,
)

FLAGS_KNOWN = 127


def decode_pairs(cursor, pair_ct):
    pairs = {}
    for _ in range(pair_ct):
        key_bytes, value_bytes = cursor.fields("II")
        text = cursor.take_padded(key_bytes + value_bytes)
        key = text[:key_bytes].decode("utf-8")
        require(key and all(key.encode() > other.encode() for other in pairs), f"{cursor.what}: pairs are not in order")
        pairs[key] = text[key_bytes:].decode("utf-8")
    return pairs


class Header:
    """Section 10.1."""

    def __init__(self, block):
        cursor = Cursor(block.payload, block.name)
        self.hash = hash128(block.payload)
        (self.number,) = block.fields("Q")
        self.store_uuid, self.sequence, self.example_ct, self.target_ct = cursor.fields("16sQQQ")
        name_bytes, output_bytes, pair_ct, zero = cursor.fields("IIII")
        require(zero == 0, f"{block.name}: bytes that must be zero are not")
        self.name = cursor.take_padded(name_bytes).decode("utf-8")
        self.output = cursor.take_padded(output_bytes).decode("utf-8")
        self.row_sets = [self.row_set(cursor) for _ in range(3)]
        self.problem = decode_pairs(cursor, pair_ct)
        cursor.end()

    def row_set(self, cursor):
        row_ct, low, high, run_bytes, run_ct = cursor.fields("QQQII")
        ids = decode_ids(cursor.take_padded(run_bytes), row_ct)
        require(ids == sorted(ids), f"{cursor.what}: model ids are not increasing")
        require(run_ct == sum(k == 0 or ids[k] != ids[k - 1] + 1 for k in range(len(ids))), f"{cursor.what}: number of runs")
        return ids, (low, high)


class Part:
    """Section 10.2."""

    def __init__(self, block, header):
        cursor = Cursor(block.payload, block.name)
        self.fit, self.number, target_ct, first, last = block.fields("QQQQQ")
        low, high, example_ct, column_target_ct, target_count, weight_ct, path_ct, pair_ct, pair_bytes = cursor.fields("QQQQQQQII")
        require((low, high) == header.hash, f"{block.name}: is a part of another fit")
        require((example_ct, column_target_ct) == (header.example_ct, header.target_ct), f"{block.name}: d or n")
        pairs = Cursor(cursor.take(pair_bytes), block.name)
        self.provenance = decode_pairs(pairs, pair_ct)
        pairs.end()

        def array(dtype, count):
            cursor.zeros(align(cursor.at, 64) - cursor.at)
            return np.frombuffer(cursor.take(np.dtype(dtype).itemsize * count), dtype)

        self.targets, self.flags, self.chosen = array("<u8", target_count), array("<u4", target_count), array("<u4", target_count)
        self.bias, self.lam, self.gap, self.null_deviance, self.mean = (array("<f8", target_count) for _ in range(5))
        self.row_cts = array("<u8", target_count)
        self.weight_begins, self.path_begins = array("<u8", target_count + 1), array("<u8", target_count + 1)
        self.examples, self.weights = array("<u4", weight_ct), array("<f8", weight_ct)
        self.path_lambdas, self.path_errors, self.path_gaps = (array("<f8", path_ct) for _ in range(3))
        self.path_weight_cts = array("<u4", path_ct)
        cursor.end()
        require((target_ct, first, last) == (target_count, self.targets[0], self.targets[-1]), f"{block.name}: header and payload disagree")
        self.check(block.name, header, weight_ct, path_ct)

    def check(self, name, header, weight_ct, path_ct):
        require((np.diff(self.targets.astype(object)) > 0).all() and self.targets[-1] < header.target_ct, f"{name}: targets")
        require(not (self.flags & ~np.uint32(FLAGS_KNOWN)).any(), f"{name}: flags")
        for scalars in (self.bias, self.lam, self.gap, self.null_deviance, self.mean):
            require(np.isfinite(scalars).all(), f"{name}: a number is not finite")
        for begins, end in ((self.weight_begins, weight_ct), (self.path_begins, path_ct)):
            require(begins[0] == 0 and begins[-1] == end and (np.diff(begins.astype(object)) >= 0).all(), f"{name}: positions")
        require(np.isfinite(self.weights).all() and (self.weights != 0).all(), f"{name}: weights")
        for k in range(len(self.targets)):
            examples = self.examples[int(self.weight_begins[k]) : int(self.weight_begins[k + 1])].astype(np.int64)
            require((np.diff(examples) > 0).all() and (examples < header.example_ct).all(), f"{name}: examples of target {k}")
            lambdas = self.path_lambdas[int(self.path_begins[k]) : int(self.path_begins[k + 1])]
            require((np.diff(lambdas) < 0).all() and (lambdas > 0).all(), f"{name}: path of target {k}")
            require(self.chosen[k] < max(len(lambdas), 1), f"{name}: chosen lambda of target {k}")


def read_part_file(file):
    """[(header, parts)] of a part file."""
    require([block.type for block in file.blocks.values()] == [SEGMENT, FIT, FIT_PART], f"{file.path}: not a part file")
    file.check_coverage(len(file.data))
    _, fit, part = file.blocks.values()
    header = Header(fit)
    require(file.store_uuid == header.store_uuid, f"{file.path}: two stores")
    return [(header, [Part(part, header)])]


def read_fits(files, state):
    """[(header, parts)] of the fits of a store, by name."""
    fits = []
    for fit in sorted(state.fits.values(), key=lambda fit: fit.name):
        segment, offset, header_hash, stored_bytes = fit.place
        block = files[segment].referred(offset, header_hash, FIT)
        header = Header(block)
        require((header.number, header.name, block.extent) == (fit.number, fit.name, stored_bytes), f"{block.name}: is not fit {fit.name}")
        require(header.example_ct == state.schema.example_ct, f"{block.name}: number of examples")
        parts = []
        for record in fit.parts.values():
            segment, offset, header_hash, stored_bytes = record.place
            block = files[segment].referred(offset, header_hash, FIT_PART)
            part = Part(block, header)
            require((part.fit, part.number, block.extent) == (fit.number, record.number, stored_bytes), f"{block.name}: is not the part meant")
            require(part.targets.tolist() == record.targets, f"{block.name}: targets")
            parts.append(part)
        fits.append((header, parts))
    return fits


def export(header, parts, directory):
    """The arrays that `dmstore export-fit --sparse` writes."""
    os.makedirs(directory, exist_ok=True)
    rows = sorted((int(target), part, k) for part in parts for k, target in enumerate(part.targets))
    spans = [(part, slice(int(part.weight_begins[k]), int(part.weight_begins[k + 1]))) for _, part, k in rows]
    arrays = {
        "targets": np.array([target for target, _, _ in rows], np.int64),
        "bias": np.array([part.bias[k] for _, part, k in rows]),
        "lam": np.array([part.lam[k] for _, part, k in rows]),
        "gap": np.array([part.gap[k] for _, part, k in rows]),
        "indptr": np.cumsum([0, *[span.stop - span.start for _, span in spans]], dtype=np.int64),
        "indices": np.concatenate([np.zeros(0, np.int32), *[part.examples[span].astype(np.int32) for part, span in spans]]),
        "data": np.concatenate([np.zeros(0), *[part.weights[span] for part, span in spans]]),
    }
    for name, array in arrays.items():
        np.save(os.path.join(directory, f"{name}.npy"), array)


def open_fits(path):
    if os.path.isdir(path):
        files = open_segments(path)
        return read_fits(files, replay(files))
    file = SegmentFile(path, 0)
    require(file.kind in (MANIFEST, PART_FILE), f"{path}: neither a manifest nor a part file")
    if file.kind == PART_FILE:
        return read_part_file(file)
    files, state = read_manifest(file)
    require(file.has_fits == bool(state.fits), f"{path}: its feature bits do not say whether it has fits")
    return read_fits(files, state)


def main():
    parser = argparse.ArgumentParser(description="Reads the fits of a dmstore store by the specification.")
    parser.add_argument("store", help="a store directory, a manifest, or a part file")
    parser.add_argument("--export", metavar="DIRECTORY", help="write the arrays of every fit to a directory of its own")
    arguments = parser.parse_args()
    try:
        fits = open_fits(arguments.store)
    except (FormatError, OSError, struct.error) as error:
        print(f"fits.py: {error}", file=sys.stderr)
        return 1
    for header, parts in fits:
        if arguments.export:
            export(header, parts, os.path.join(arguments.export, header.name))
        else:
            targets = sum(len(part.targets) for part in parts)
            print(f"{header.name}: {targets} of {header.target_ct} targets of {header.output}, {len(parts)} parts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
