"""An independent reader of counts of pairs, written from format/SPEC.md section 11 alone; see reader.py.

    pairs.py FILE               prints what the file says of itself
    pairs.py FILE --export F    writes F, the d x d matrix of counts as an .npy of uint32, checking all of the file
"""

import argparse
import struct
import sys

import numpy as np

from gram_file import GramFile
from reader import FormatError, align, hash64, require

TILE = 128
WIDTHS = {1: "i1", 2: "<i2", 4: "<i4"}


class Pairs(GramFile):
    def __init__(self, path):
        super().__init__(path, b"DMSPAIRS")
        require(self.column_id == 0 and self.target_ct == 0, "the head has bytes that are not zero")
        side = -(-self.example_ct // TILE)
        tile_ct = side * (side + 1) // 2
        self.tiles_at = align(self.entries_at + 16 * tile_ct, 64)
        self.decode_rows(self.tiles_at)
        self.entries = [struct.unpack_from("<QQ", self.data, self.entries_at + 16 * tile) for tile in range(tile_ct)]

    def tiles(self):
        """Numbers of tile row and column, and the tile's deviations."""
        side, at = -(-self.example_ct // TILE), self.tiles_at
        places = [(a, b) for a in range(side) for b in range(a, side)]
        for (a, b), (tile_hash, width) in zip(places, self.entries):
            stored = self.data[at : at + width * TILE * TILE]
            require(width in WIDTHS and hash64(stored) == tile_hash, f"tile {a}, {b} does not have its hash")
            at += len(stored)
            yield a, b, np.frombuffer(stored, WIDTHS[width]).reshape(TILE, TILE).astype(np.int64)
        require(at == len(self.data), "the tiles do not end where the file ends")

    def counts(self):
        """The d x d matrix."""
        total, models = sum(self.singles), max(self.row_ct, 1)
        offsets = np.array([total * n // (self.example_ct * models) for n in self.singles])
        center = total * total // (self.example_ct**2 * models)
        counts = np.zeros((self.example_ct,) * 2, np.int64)
        for a, b, deviations in self.tiles():
            rows, columns = offsets[a * TILE : (a + 1) * TILE], offsets[b * TILE : (b + 1) * TILE]
            inside = deviations[: len(rows), : len(columns)]
            require(deviations.sum() == inside.sum() and np.abs(deviations).sum() == np.abs(inside).sum(), "a tile is not padded")
            block = rows[:, None] + columns - center + inside
            counts[a * TILE : a * TILE + len(rows), b * TILE : b * TILE + len(columns)] = block
            counts[b * TILE : b * TILE + len(columns), a * TILE : a * TILE + len(rows)] = block.T
        np.fill_diagonal(counts, self.singles)
        return (counts % 2**32).astype(np.uint32)

    def print(self):
        print(f"{self.row_ct} models of {self.example_ct} examples, commit {self.sequence}, row set {self.digest[::-1].hex()}")


def main():
    parser = argparse.ArgumentParser(description="Reads a file of counts of pairs by its specification.")
    parser.add_argument("file")
    parser.add_argument("--export", metavar="FILE", help="write the matrix of counts as .npy")
    arguments = parser.parse_args()
    try:
        pairs = Pairs(arguments.file)
        if arguments.export:
            np.save(arguments.export, pairs.counts())
        else:
            pairs.print()
    except (FormatError, OSError, struct.error) as error:
        print(f"pairs.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
