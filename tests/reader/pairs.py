"""An independent reader of counts of pairs, written from format/SPEC.md section 11 alone; see reader.py.

    pairs.py FILE               prints what the file says of itself
    pairs.py FILE --export F    writes F, the d x d matrix of counts as an .npy of uint32, checking all of the file
"""

import argparse
import struct
import sys

import numpy as np

from reader import Cursor, FormatError, align, hash64, require

HEAD_BYTES = 128
TILE = 128
WIDTHS = {1: "i1", 2: "<i2", 4: "<i4"}


class Pairs:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.decode_head()
        self.decode_lists()

    def decode_head(self):
        head = self.data[:HEAD_BYTES]
        require(len(head) == HEAD_BYTES and head[:8] == b"DMSPAIRS", "no head of a file of counts")
        require(struct.unpack("<Q", head[120:])[0] == hash64(head[:120]), "the head does not have its hash")
        fields = struct.unpack("<Q16sQQQ16sQQQ", head[8:96])
        version, self.store_uuid, self.sequence, self.example_ct, self.row_ct = fields[:5]
        self.digest, self.range_ct, file_bytes, self.lists_hash = fields[5:]
        require(version == 1 and not any(head[96:120]), "the head has an unknown version, or bytes that are not zero")
        require(file_bytes == len(self.data), f"the file has {len(self.data)} bytes, not {file_bytes}")

    def decode_lists(self):
        side = -(-self.example_ct // TILE)
        tile_ct = side * (side + 1) // 2
        entries_at = HEAD_BYTES + 16 * self.range_ct + align(4 * self.example_ct, 8)
        self.tiles_at = align(entries_at + 16 * tile_ct, 64)
        lists = self.data[HEAD_BYTES : self.tiles_at]
        require(hash64(lists) == self.lists_hash, "the lists do not have their hash")
        cursor = Cursor(lists, "lists")
        self.ranges = [cursor.fields("QQ") for _ in range(self.range_ct)]
        self.singles = np.array(cursor.fields(f"{self.example_ct}I"), dtype=np.int64)
        self.entries = [struct.unpack_from("<QQ", self.data, entries_at + 16 * tile) for tile in range(tile_ct)]
        ends = [first + count for first, count in self.ranges]
        require(sum(count for _, count in self.ranges) == self.row_ct, "the ranges do not have all models")
        require(all(first > end for (first, _), end in zip(self.ranges[1:], ends)), "the ranges are not in order")
        require((self.singles <= self.row_ct).all(), "an example is in more models than there are")

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
        total, models = int(self.singles.sum()), max(self.row_ct, 1)
        offsets = np.array([total * int(n) // (self.example_ct * models) for n in self.singles])
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
