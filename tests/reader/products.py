"""An independent reader of products, written from format/SPEC.md section 12 alone; see reader.py.

    products.py FILE               prints what the file says of itself
    products.py FILE --export F    writes F, the d x n matrix of sums as an .npy of float64 (NaN: targets without sums), checking all
    products.py FILE --outputs Y   also holds the fingerprints against Y, an .npy of float16, a row for each model in order of ids
"""

import argparse
import struct
import sys

import numpy as np

from gram_file import GramFile
from reader import FormatError, hash64, require

ENTRY = struct.Struct("<QQqBB2s4s")
UNIT = 2.0**-24


def key(model_id):
    """The odd number that a model's outputs are multiplied with in fingerprints."""
    x = (model_id + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31 | 1


class Products(GramFile):
    def __init__(self, path):
        super().__init__(path, b"DMSPRODS")
        self.targets_at = self.entries_at + ENTRY.size * self.target_ct
        self.decode_rows(self.targets_at)
        self.entries = [ENTRY.unpack_from(self.data, self.entries_at + ENTRY.size * t) for t in range(self.target_ct)]
        require(all(other == bytes(4) for *_, other in self.entries), "an entry has bytes that should be zero")

    def sums(self):
        """The d x n matrix of sums in units of 2^-24, Python integers; None for targets without."""
        at, columns = self.targets_at, []
        for target, (stored_hash, _, total, width, shift, _, _) in enumerate(self.entries):
            if width == 0:
                columns.append(None)
                continue
            stored = self.data[at : at + width * self.example_ct]
            require(hash64(stored) == stored_hash, f"target {target} does not have its hash")
            at += len(stored)
            require(total % 2**shift == 0, f"target {target} has a total that its shift does not divide")
            expected = [n * (total >> shift) // self.row_ct for n in self.singles]
            deviations = [int.from_bytes(stored[k * width : (k + 1) * width], "little", signed=True) for k in range(self.example_ct)]
            columns.append([(u + v) << shift for u, v in zip(expected, deviations)])
        require(at == len(self.data), "the targets do not end where the file ends")
        return columns

    def check_outputs(self, outputs):
        ids = [first + i for first, count in self.ranges for i in range(count)]
        require(outputs.shape == (len(ids), self.target_ct), "these are not the outputs of its models")
        keys = [key(model_id) for model_id in ids]
        for target, (_, fingerprint, total, width, _, largest, _) in enumerate(self.entries):
            values = outputs[:, target].astype(np.float64)
            keeps = np.isfinite(values).all() and self.row_ct * np.abs(values).max() <= 2.0**28
            require(keeps == (width > 0), f"target {target} has sums and should have none, or none and should")
            if not keeps:
                continue
            units = [int(value) for value in values / UNIT]
            require(sum(units) == total, f"target {target} has another total")
            require(sum(k * u for k, u in zip(keys, units)) % 2**64 == fingerprint, f"target {target} has another fingerprint")
            require(np.abs(values).max() == np.frombuffer(largest, "<f2")[0], f"target {target} has another largest output")

    def print(self):
        kept_ct = sum(entry[3] > 0 for entry in self.entries)
        print(
            f"column {self.column_id}: {kept_ct} of {self.target_ct} targets, {self.row_ct} models of {self.example_ct} examples, "
            f"commit {self.sequence}, row set {self.digest[::-1].hex()}"
        )


def main():
    parser = argparse.ArgumentParser(description="Reads a file of products by its specification.")
    parser.add_argument("file")
    parser.add_argument("--export", metavar="FILE", help="write the matrix of sums as .npy")
    parser.add_argument("--outputs", metavar="FILE", help="hold the fingerprints against these outputs")
    arguments = parser.parse_args()
    try:
        products = Products(arguments.file)
        if arguments.outputs:
            products.check_outputs(np.load(arguments.outputs))
        if arguments.export:
            none = [np.nan] * products.example_ct
            columns = [none if sums is None else [s * UNIT for s in sums] for sums in products.sums()]
            np.save(arguments.export, np.array(columns).T)
        else:
            products.print()
    except (FormatError, OSError, struct.error) as error:
        print(f"products.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
