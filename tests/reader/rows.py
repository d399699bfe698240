"""Rows for the tests of stores: every value is a function of model id and variant, so that what a store must hold
after any number of changes is known without it.

    rows.py npy DIRECTORY RANGE...   writes masks.npy, ids.npy and NAME.npy of every column
    rows.py frames RANGE...          writes row frames (SPEC.md section 8) to standard output
    rows.py options                  prints the options of `dmstore create` for these columns
    rows.py columns output|scalar DIRECTORY   prints --output or --scalar NAME=DIRECTORY/NAME.npy of every such column

RANGE is A:B or A:B:VARIANT, ids A .. B - 1. With --sampled the masks are those of `dmstore sample`.
"""

import argparse
import os
import struct
import sys

import numpy as np

sys.dont_write_bytecode = True
import reader  # noqa: E402 (beside this file)

EXAMPLES = 203
SUBSET_SIZE, SAMPLE_SEED = 101, 7  # --alpha 0.5 --seed 7
OUTPUTS = {
    "halves": ((300,), "f16", "<f2"),
    "singles": ((70, 3), "f32", "<f4"),
    "levels": ((5,), "u8", "u1"),
    "hits": ((67, 2), "bool", "?"),
}
SCALARS = {
    "flag": ("bool", "?"),
    "small": ("u8", "u1"),
    "half": ("f16", "<f2"),
    "single": ("f32", "<f4"),
    "double": ("f64", "<f8"),
    "signed": ("i32", "<i4"),
    "unsigned": ("u32", "<u4"),
    "long": ("i64", "<i8"),
    "time": ("u64", "<u8"),
    "host": ("s11", "S11"),
}


def values(generator, shape, dtype):
    """Numbers that compress a little, as margins do; one in 16 has any bits: infinities, NaN and -0 come up too."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype.kind == "S":
        return np.array(f"gpu{generator.integers(10**6)}", dtype)
    bits = generator.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype).reshape(shape)
    if dtype.kind != "f":
        return bits
    return np.where(generator.integers(0, 16, shape) == 0, bits, generator.normal(size=shape).astype(dtype))


def row(model_id, variant, sampled):
    """{column: value} of a model, the mask packed."""
    generator = np.random.Generator(np.random.Philox(key=np.array([variant, model_id], np.uint64)))
    mask = np.packbits(generator.integers(0, 2, EXAMPLES), bitorder="little")
    if sampled:
        mask = reader.sample_mask(SAMPLE_SEED, model_id, SUBSET_SIZE, EXAMPLES)
    made = {"mask": mask}
    for name, (shape, _, dtype) in OUTPUTS.items():
        made[name] = values(generator, shape, dtype)
    for name, (_, dtype) in SCALARS.items():
        made[name] = values(generator, (), dtype)
    return made


def all_rows(ranges, sampled):
    for text in ranges:
        begin, end, *variant = map(int, text.split(":"))
        for model_id in range(begin, end):
            yield model_id, row(model_id, variant[0] if variant else 0, sampled)


def write_npy(directory, ranges, sampled):
    os.makedirs(directory, exist_ok=True)
    ids, rows = zip(*all_rows(ranges, sampled))
    bits = np.unpackbits(np.stack([made["mask"] for made in rows]), axis=1, bitorder="little")
    np.save(os.path.join(directory, "masks.npy"), bits[:, :EXAMPLES].astype(bool))
    np.save(os.path.join(directory, "ids.npy"), np.array(ids, np.uint64))
    for name in [*OUTPUTS, *SCALARS]:
        np.save(os.path.join(directory, f"{name}.npy"), np.stack([made[name] for made in rows]))


def write_frames(ranges, sampled):
    for model_id, made in all_rows(ranges, sampled):
        columns = [*OUTPUTS, *SCALARS]
        payload = made["mask"].tobytes() + b"".join(made[name].tobytes() for name in columns)
        header = struct.pack("<4sIQQ", b"DMSR", len(payload), model_id, 2 ** len(columns) - 1)
        sys.stdout.buffer.write(header + payload)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["npy", "frames", "options", "columns"])
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--sampled", action="store_true")
    given = parser.parse_intermixed_args()
    if given.what == "npy":
        write_npy(given.arguments[0], given.arguments[1:], given.sampled)
    elif given.what == "frames":
        write_frames(given.arguments, given.sampled)
    elif given.what == "options":
        outputs = [f"--output {name}:{'x'.join(map(str, shape))}:{dtype}" for name, (shape, dtype, _) in OUTPUTS.items()]
        scalars = [f"--scalar {name}:{dtype}" for name, (dtype, _) in SCALARS.items()]
        print("--examples", EXAMPLES, *outputs, *scalars)
    else:
        kind, directory = given.arguments
        names = {"output": OUTPUTS, "scalar": SCALARS}[kind]
        print(*(f"--{kind} {name}={directory}/{name}.npy" for name in names))


if __name__ == "__main__":
    main()
