"""What files of counts of pairs and of products have in common, from format/SPEC.md section 11 alone; see reader.py."""

import struct

from reader import Cursor, align, hash64, require

HEAD_BYTES = 128


class GramFile:
    """The head, and the cursor at the end of ranges and singles. The lists end at `lists_end`, which a kind knows of its own."""

    def __init__(self, path, magic):
        with open(path, "rb") as file:
            self.data = file.read()
        head = self.data[:HEAD_BYTES]
        require(len(head) == HEAD_BYTES and head[:8] == magic, f"no head that begins with {magic.decode()}")
        require(struct.unpack("<Q", head[120:])[0] == hash64(head[:120]), "the head does not have its hash")
        fields = struct.unpack("<Q16sQQQ16sQQQQQ", head[8:112])
        version, self.store_uuid, self.sequence, self.example_ct, self.row_ct = fields[:5]
        self.digest, self.range_ct, file_bytes, self.lists_hash, self.column_id, self.target_ct = fields[5:]
        require(version == 1 and not any(head[112:120]), "the head has an unknown version, or bytes that are not zero")
        require(file_bytes == len(self.data), f"the file has {len(self.data)} bytes, not {file_bytes}")
        self.entries_at = HEAD_BYTES + 16 * self.range_ct + align(4 * self.example_ct, 8)

    def decode_rows(self, lists_end):
        lists = self.data[HEAD_BYTES:lists_end]
        require(hash64(lists) == self.lists_hash, "the lists do not have their hash")
        cursor = Cursor(lists, "lists")
        self.ranges = [cursor.fields("QQ") for _ in range(self.range_ct)]
        self.singles = [int(n) for n in cursor.fields(f"{self.example_ct}I")]
        ends = [first + count for first, count in self.ranges]
        require(sum(count for _, count in self.ranges) == self.row_ct, "the ranges do not have all models")
        require(all(first > end for (first, _), end in zip(self.ranges[1:], ends)), "the ranges are not in order")
        require(all(n <= self.row_ct for n in self.singles), "an example is in more models than there are")
