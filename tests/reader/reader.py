"""An independent reader of dmstore stores, written from format/SPEC.md alone.

It reads the segment files of a store directory (never its index), what a manifest names, or a spool file, checks every hash and
every zero byte on its way, and gives masks, outputs, scalars and model ids as NumPy arrays, rows by increasing model
id. It shares no code with dmstore, so what the two agree on is what the specification says. Section numbers below are
those of SPEC.md.

    reader.py STORE|FILE                     prints what is in a store, or in what a manifest or spool file says
    reader.py STORE|FILE --export DIRECTORY  writes masks.npy, ids.npy, NAME.npy and NAME.present.npy; what a model
                                             has no value for is NaN, or 0 where the dtype has no NaN
"""

import argparse
import os
import re
import struct
import sys

import numpy as np
import xxhash
import zstandard

BLOCK_ALIGNMENT = 64
HEADER_BYTES = 128
MAGIC_SEGMENT = bytes.fromhex("89444D530D0A1A0A")
MAGIC_BLOCK = b"dmsBlock"
SEGMENT, CHUNK, DIRECTORY, ROWS, STATE, COMMIT, FIT, FIT_PART = 1, 2, 3, 4, 5, 6, 7, 8
LOG, BULK, SPOOL, MANIFEST, PART_FILE = 1, 2, 3, 4, 5
FEATURE_FITS = 1
PLAIN, BYTE_PLANES, ID_RUNS, SAMPLED = 0, 1, 2, 3
MASK_COLUMN, ID_COLUMN = 0, 1
KIND_MASK, KIND_ID, KIND_OUTPUT, KIND_SCALAR = 1, 2, 3, 4
BOOL, TEXT = 1, 10
DTYPES = {2: "u1", 3: "<f2", 4: "<f4", 5: "<f8", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8"}


class FormatError(Exception):
    """The bytes are not what the specification says."""


def require(condition, message):
    if not condition:
        raise FormatError(message)


def hash64(data):
    return xxhash.xxh3_64_intdigest(data)


def hash128(data):
    """(low half, high half)"""
    value = xxhash.xxh3_128_intdigest(data)
    return value & (2**64 - 1), value >> 64


def align(size, alignment):
    return -(-size // alignment) * alignment


class Cursor:
    """Takes fields off the front of some bytes."""

    def __init__(self, data, what):
        self.data, self.at, self.what = memoryview(data), 0, what

    def take(self, size):
        require(size <= len(self.data) - self.at, f"{self.what}: cut short")
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def take_padded(self, size):
        data = self.take(size)
        self.zeros(align(self.at, 8) - self.at)
        return data

    def zeros(self, size):
        require(not any(self.take(size)), f"{self.what}: bytes that must be zero are not")

    def fields(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def u32(self):
        return self.fields("I")[0]

    def u64(self):
        return self.fields("Q")[0]

    def more(self):
        return self.at < len(self.data)

    def end(self):
        require(not self.more(), f"{self.what}: {len(self.data) - self.at} bytes too many")


# ---- section 2: blocks and segment files --------------------------------------------------------------------------


class Block:
    """A block whose header and payload were checked."""

    def __init__(self, segment, offset, header, payload):
        self.segment, self.offset, self.header, self.payload = segment, offset, header, payload
        self.type = header[8]
        self.header_hash = struct.unpack_from("<Q", header, 120)[0]
        self.extent = align(HEADER_BYTES + len(payload), BLOCK_ALIGNMENT)
        self.name = f"{segment.path}: block of type {self.type} at {offset:#x}"

    def fields(self, layout):
        """The fields of the type; whatever follows them must be zero."""
        size = struct.calcsize("<" + layout)
        require(not any(self.header[48 + size : 120]), f"{self.name}: unnamed header bytes are not zero")
        return struct.unpack_from("<" + layout, self.header, 48)


class SegmentFile:
    """One file: its segment block and all valid blocks, in order of their offsets."""

    def __init__(self, path, number):
        self.path, self.number = path, number
        with open(path, "rb") as file:
            self.data = memoryview(file.read())
        first = self.block_at(0)
        require(first is not None and first.type == SEGMENT, f"{path}: does not begin with a segment block")
        self.decode_segment(first)
        self.blocks = {0: first}
        offset = first.extent
        while offset < len(self.data):
            block = self.block_at(offset)
            if block is not None:
                self.blocks[offset] = block
            offset += BLOCK_ALIGNMENT if block is None else block.extent

    def block_at(self, offset):
        """The valid block at an offset, or None. Section 2: what makes a block valid."""
        header = bytes(self.data[offset : offset + HEADER_BYTES])
        if len(header) < HEADER_BYTES or header[:8] != (MAGIC_SEGMENT if offset == 0 else MAGIC_BLOCK):
            return None
        version, header_bytes, zero, number, own_offset, payload_bytes, payload_hash = struct.unpack_from(
            "<xBHIQQQQ", header, 8
        )
        if hash64(header[:120]) != struct.unpack_from("<Q", header, 120)[0]:
            return None
        if (version, header_bytes, zero, number, own_offset) != (1, HEADER_BYTES, 0, self.number, offset):
            return None
        if payload_bytes > len(self.data) - offset - HEADER_BYTES:
            return None
        payload = self.data[offset + HEADER_BYTES : offset + HEADER_BYTES + payload_bytes]
        if hash64(payload) != payload_hash:
            return None
        return Block(self, offset, header, payload)

    def decode_segment(self, block):
        """Section 2.1."""
        block.fields("")
        cursor = Cursor(block.payload, block.name)
        self.store_uuid, self.uuid, number, major, minor = cursor.fields("16s16sQII")
        _compatible, read_only, incompatible, _created, self.kind, schema_bytes = cursor.fields("QQQQII")
        require(number == self.number, f"{self.path}: is segment {number}")
        known = FEATURE_FITS if self.kind in (MANIFEST, PART_FILE) else 0
        require(major == 1 and incompatible & ~known == 0, f"{self.path}: format {major}.{minor} is not known")
        require(self.kind in (LOG, BULK, SPOOL, MANIFEST, PART_FILE), f"{self.path}: kind {self.kind} is not known")
        require((schema_bytes == 0) == (self.kind == PART_FILE), f"{self.path}: {schema_bytes} bytes of schema")
        self.has_fits = ((read_only | incompatible) & FEATURE_FITS) != 0
        schema = cursor.take_padded(schema_bytes)
        self.schema = decode_schema(schema) if schema else None
        cursor.end()

    def commits(self):
        return [Commit(block) for block in self.blocks.values() if block.type == COMMIT]

    def check_coverage(self, end):
        """Up to `end` there is nothing but blocks and zero bytes."""
        offset = 0
        while offset < end:
            require(offset in self.blocks, f"{self.path}: no valid block at {offset:#x}")
            block = self.blocks[offset]
            padding = self.data[offset + HEADER_BYTES + len(block.payload) : offset + block.extent]
            require(not any(padding), f"{block.name}: the bytes after its payload are not zero")
            offset += block.extent
        require(offset == end, f"{self.path}: a block goes beyond {end:#x}")

    def referred(self, offset, header_hash, block_type):
        """The block that a record names."""
        block = self.blocks.get(offset)
        require(
            block is not None and block.type == block_type and block.header_hash == header_hash,
            f"{self.path}: the block of type {block_type} that should be at {offset:#x} is not there",
        )
        return block


class Commit:
    """Section 2.6."""

    def __init__(self, block):
        self.block = block
        (
            self.sequence,
            self.previous_hash,
            self.begin,
            self.time,
            self.edit_ct,
            self.schema_version,
            self.blocks_hash,
            self.next_group,
            self.next_batch,
            self.next_segment,
        ) = block.fields("QQQQIIQQQQ")
        self.edits = decode_edits(block.payload, block.name)
        require(len(self.edits) == self.edit_ct, f"{block.name}: {self.edit_ct} edits announced, {len(self.edits)} there")

    def is_whole(self):
        """Whether all blocks of the transaction are there."""
        hashes, offset = b"", self.begin
        while offset < self.block.offset:
            block = self.block.segment.blocks.get(offset)
            if block is None:
                return False
            hashes += struct.pack("<Q", block.header_hash)
            offset += block.extent
        return offset == self.block.offset and hash64(hashes) == self.blocks_hash


# ---- section 3: schema --------------------------------------------------------------------------------------------


class Column:
    def __init__(self, cursor):
        self.id, self.kind, self.dtype, dimension_ct, name_bytes, self.tile_targets, self.bits = cursor.fields("IBBBBII")
        self.dimensions = cursor.fields(f"{dimension_ct}Q")
        self.name = cursor.take_padded(name_bytes).decode("utf-8")
        self.target_ct = self.dimensions[0] if self.dimensions else 1
        self.values_per_target = int(np.prod(self.dimensions[1:], dtype=object)) if self.dimensions else 1
        expected_bits = {BOOL: 1, TEXT: self.bits}.get(self.dtype) or 8 * np.dtype(DTYPES[self.dtype]).itemsize
        require(self.bits == expected_bits, f"column {self.name}: {self.bits} bits a value")

    def row_bytes(self, target_ct):
        return -(-target_ct * self.values_per_target * self.bits // 8)

    def numpy_dtype(self):
        if self.dtype == BOOL:
            return np.dtype(bool)
        return np.dtype(f"S{self.bits // 8}" if self.dtype == TEXT else DTYPES[self.dtype])

    def values(self, rows, target_ct):
        """rows: R x row_bytes(target_ct) bytes; gives R x (target_ct x values_per_target) values."""
        value_ct = target_ct * self.values_per_target
        if self.dtype != BOOL:
            return np.ascontiguousarray(rows).view(self.numpy_dtype()).reshape(len(rows), value_ct)
        bits = np.unpackbits(rows, axis=1, bitorder="little")
        require(not bits[:, value_ct:].any(), f"column {self.name}: bits after the last value are set")
        return bits[:, :value_ct].astype(bool)


class Schema:
    pass


def decode_schema(data):
    cursor = Cursor(data, "schema")
    schema = Schema()
    schema.version, column_ct, schema.example_ct, schema.group_rows = cursor.fields("IIQI")
    schema.codec, schema.level, zero = cursor.fields("BBH")
    digest_bytes, metadata_ct, schema.next_column_id, zero_again = cursor.fields("IIII")
    require(zero == 0 and zero_again == 0, "schema: bytes that must be zero are not")
    schema.digest = cursor.take_padded(digest_bytes)
    schema.columns = [Column(cursor) for _ in range(column_ct)]
    schema.metadata = {}
    for _ in range(metadata_ct):
        key_bytes, value_bytes = cursor.fields("II")
        text = cursor.take_padded(key_bytes + value_bytes)
        schema.metadata[text[:key_bytes].decode("utf-8")] = text[key_bytes:].decode("utf-8")
    cursor.end()
    require([column.kind for column in schema.columns[:2]] == [KIND_MASK, KIND_ID], "schema: no mask or model id column")
    require(len(schema.metadata) == metadata_ct, "schema: a metadata key is there twice")
    return schema


# ---- section 2.2.1: id runs ---------------------------------------------------------------------------------------


def decode_ids(data, row_ct):
    ids, at, last = [], 0, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            require(at < len(data), "id runs: cut short")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                require(byte or shift == 7, "id runs: a number in more bytes than it takes")
                return value

    while at < len(data):
        zigzag, length = varint(), varint()
        first = (last + ((zigzag >> 1) ^ -(zigzag & 1))) % 2**64
        require(length >= 1 and len(ids) + length <= row_ct, "id runs: more ids than rows")
        require(not ids or first != last + 1, "id runs: a run that could be longer")
        ids.extend(range(first, first + length))
        last = ids[-1]
        require(last < 2**64, "id runs: an id beyond 64 bits")
    require(len(ids) == row_ct, f"id runs: {len(ids)} ids for {row_ct} rows")
    require(len(set(ids)) == len(ids), "id runs: an id is there twice")
    return ids


# ---- sections 4 and 5: edits and states ---------------------------------------------------------------------------


def decode_edits(payload, what):
    """The edits of a commit, each a pair (name, fields)."""
    edits = []
    cursor = Cursor(payload, what)
    while cursor.more():
        edit_type, size = cursor.fields("II")
        require(size % 8 == 0, f"{what}: an edit of {size} bytes")
        edits.append(decode_edit(edit_type, Cursor(cursor.take(size), f"{what}, edit of type {edit_type}")))
    return edits


def decode_edit(edit_type, body):
    if edit_type == 1:
        group, row_ct, run_bytes = body.fields("QII")
        edit = ("add group", group, decode_ids(body.take_padded(run_bytes), row_ct))
    elif edit_type == 2:
        edit = ("set column", *body.fields("QIIQQQ"))
    elif edit_type == 3:
        batch, row_ct, run_bytes, offset, header_hash, column_ct, zero = body.fields("QIIQQII")
        require(zero == 0, f"{body.what}: bytes that must be zero are not")
        edit = ("add batch", batch, offset, header_hash, column_ct, decode_ids(body.take_padded(run_bytes), row_ct))
    elif edit_type in (4, 8):
        edit = ({4: "drop group", 8: "drop segment"}[edit_type], body.u64())
    elif edit_type == 5:
        edit = ("drop batches", *body.fields("QQ"))
    elif edit_type == 6:
        staged, row_ct, number = body.fields("IIQ")
        require(staged in (0, 1), f"{body.what}: neither a group nor a batch")
        edit = ("remove rows", staged, number, struct.unpack(f"<{row_ct}I", body.take_padded(4 * row_ct)))
    elif edit_type == 7:
        edit = ("set schema", decode_schema(body.take_padded(body.u64())))
    elif edit_type == 9:
        edit = ("state", *body.fields("QQ"))
    elif edit_type == 16:
        fit, offset, header_hash, stored_bytes, time, name_bytes, zero = body.fields("QQQQQII")
        require(zero == 0, f"{body.what}: bytes that must be zero are not")
        place = (offset, header_hash, stored_bytes)
        edit = ("set fit", fit, place, time, body.take_padded(name_bytes).decode("utf-8"))
    elif edit_type == 17:
        fit, part, offset, header_hash, stored_bytes, sequence, time, target_ct, run_bytes = body.fields("QQQQQQQII")
        targets = decode_ids(body.take_padded(run_bytes), target_ct)
        edit = ("set fit part", fit, part, (offset, header_hash, stored_bytes), sequence, time, targets)
    elif edit_type == 18:
        edit = ("remove fit", body.u64())
    else:
        raise FormatError(f"{body.what}: unknown type")
    body.end()
    return edit


class Group:
    """A sealed group: `columns` maps a column id to (segment, offset, header hash, rows with a value)."""

    def __init__(self, number, ids):
        self.number, self.ids, self.columns, self.removed = number, ids, {}, set()


class Batch:
    """Staged rows."""

    def __init__(self, number, segment, offset, header_hash, column_ct, ids):
        self.number, self.segment, self.offset, self.header_hash = number, segment, offset, header_hash
        self.column_ct, self.ids, self.removed = column_ct, ids, set()


class Fit:
    """A fit: `place` is (segment, offset, header hash, stored bytes) of its block, `parts` maps a part's number to FitPart."""

    def __init__(self, number, name, time):
        self.number, self.name, self.time, self.place, self.parts = number, name, time, None, {}


class FitPart:
    def __init__(self, number, place, sequence, time, targets):
        self.number, self.place, self.sequence, self.time, self.targets = number, place, sequence, time, targets
        require(targets and targets == sorted(targets), f"part {number} of a fit: targets are not increasing")


class State:
    """What is live after a commit."""

    def __init__(self, schema):
        self.sequence, self.commit_hash, self.schema = 0, 0, schema
        self.groups, self.batches, self.segments, self.fits = {}, {}, {}, {}

    def apply(self, commit):
        segment = commit.block.segment.number
        require(commit.sequence == self.sequence + 1, f"commit {self.sequence + 1} is lost")
        require(commit.previous_hash == self.commit_hash, f"commit {commit.sequence} does not follow the one before")
        for name, *fields in commit.edits:
            getattr(self, name.replace(" ", "_"))(segment, *fields)
        self.sequence, self.commit_hash = commit.sequence, commit.block.header_hash
        require(self.schema is not None and commit.schema_version == self.schema.version, f"commit {commit.sequence}: another schema version")
        require(commit.next_group > max(self.groups, default=-1), f"commit {commit.sequence}: next group number")
        require(commit.next_batch > max(self.batches, default=-1), f"commit {commit.sequence}: next batch number")
        require(commit.next_segment > segment, f"commit {commit.sequence}: next segment number")

    def add_group(self, _segment, number, ids):
        require(number not in self.groups, f"group {number} is added twice")
        self.groups[number] = Group(number, ids)

    def set_column(self, segment, number, column, present_ct, offset, header_hash, stored_bytes):
        require(number in self.groups, f"column {column} of group {number}, which is not there")
        self.groups[number].columns[column] = (segment, offset, header_hash, present_ct, stored_bytes)

    def add_batch(self, segment, number, offset, header_hash, column_ct, ids):
        require(number not in self.batches, f"batch {number} is added twice")
        self.batches[number] = Batch(number, segment, offset, header_hash, column_ct, ids)

    def drop_group(self, _segment, number):
        require(number in self.groups, f"group {number} is dropped, but not there")
        del self.groups[number]

    def drop_batches(self, _segment, first, count):
        for number in [number for number in self.batches if first <= number < first + count]:
            del self.batches[number]

    def remove_rows(self, _segment, staged, number, rows):
        container = (self.batches if staged else self.groups).get(number)
        require(container is not None, f"rows of {'batch' if staged else 'group'} {number} are removed, but it is not there")
        require(all(row < len(container.ids) for row in rows), f"removed rows beyond the end of {number}")
        container.removed.update(rows)

    def set_schema(self, _segment, schema):
        before = 0 if self.schema is None else self.schema.version
        require(schema.version == before + 1, "schema versions do not count up")
        self.schema = schema

    def drop_segment(self, _segment, number):
        self.segments.pop(number, None)

    def set_fit(self, segment, number, place, time, name):
        if number not in self.fits:
            require(name not in [fit.name for fit in self.fits.values()], f"fit {name} is begun twice")
            self.fits[number] = Fit(number, name, time)
        self.fits[number].place = (segment, *place)

    def set_fit_part(self, segment, number, part, place, sequence, time, targets):
        require(number in self.fits, f"a part of fit {number}, which is not there")
        parts = self.fits[number].parts
        taken = {target for other in parts.values() if other.number != part for target in other.targets}
        require(not taken.intersection(targets), f"fit {number}: two parts have one target")
        parts[part] = FitPart(part, (segment, *place), sequence, time, targets)

    def remove_fit(self, _segment, number):
        require(number in self.fits, f"fit {number} is removed, but not there")
        del self.fits[number]

    def state(self, _segment, _offset, _header_hash):
        """Says the same once more."""


def decode_removed(cursor, row_ct, live_ct):
    if live_ct == row_ct:
        return set()
    bits = np.unpackbits(np.frombuffer(cursor.take_padded(-(-row_ct // 8)), np.uint8), bitorder="little")
    require(not bits[row_ct:].any(), f"{cursor.what}: bits after the last row are set")
    removed = set(np.flatnonzero(bits).tolist())
    require(len(removed) == row_ct - live_ct, f"{cursor.what}: the count of live rows is wrong")
    return removed


def decode_fit(cursor, state):
    number, segment, offset, header_hash, stored_bytes, time, part_ct, name_bytes = cursor.fields("QQQQQQII")
    name = cursor.take_padded(name_bytes).decode("utf-8")
    state.set_fit(segment, number, (offset, header_hash, stored_bytes), time, name)
    for _ in range(part_ct):
        part, segment, offset, header_hash, stored_bytes, sequence, time, target_ct, run_bytes = cursor.fields("QQQQQQQII")
        targets = decode_ids(cursor.take_padded(run_bytes), target_ct)
        require(part > max(state.fits[number].parts, default=0), f"{cursor.what}: parts of a fit are out of order")
        state.set_fit_part(segment, number, part, (offset, header_hash, stored_bytes), sequence, time, targets)


def decode_state(block):
    """Section 5. Gives (state, hash of a commit, path)."""
    cursor = Cursor(block.payload, block.name)
    sequence, commit_hash, _next_group, _next_batch, _next_segment = cursor.fields("QQQQQ")
    segment_ct, group_ct, batch_ct, schema_bytes, path_bytes, fit_ct = cursor.fields("IIIIII")
    state = State(decode_schema(cursor.take_padded(schema_bytes)))
    state.sequence = sequence
    path = cursor.take_padded(path_bytes)
    for _ in range(segment_ct):
        number, uuid, committed_bytes, kind, zero = cursor.fields("Q16sQII")
        require(zero == 0, f"{block.name}: bytes that must be zero are not")
        state.segments[number] = (uuid, committed_bytes, kind)
    for _ in range(group_ct):
        number, row_ct, live_ct, column_ct, run_bytes = cursor.fields("QIIII")
        group = Group(number, decode_ids(cursor.take_padded(run_bytes), row_ct))
        group.removed = decode_removed(cursor, row_ct, live_ct)
        for _ in range(column_ct):
            column, present_ct, segment, offset, header_hash, stored_bytes = cursor.fields("IIQQQQ")
            group.columns[column] = (segment, offset, header_hash, present_ct, stored_bytes)
        state.groups[number] = group
    for _ in range(batch_ct):
        number, segment, offset, header_hash, row_ct, live_ct, column_ct, run_bytes = cursor.fields("QQQQIIII")
        ids = decode_ids(cursor.take_padded(run_bytes), row_ct)
        batch = Batch(number, segment, offset, header_hash, column_ct, ids)
        batch.removed = decode_removed(cursor, row_ct, live_ct)
        state.batches[number] = batch
    for _ in range(fit_ct):
        decode_fit(cursor, state)
    cursor.end()
    for numbers in (state.segments, state.groups, state.batches, state.fits):
        require(list(numbers) == sorted(numbers), f"{block.name}: numbers are out of order")
    require(block.fields("Q") == (sequence,), f"{block.name}: header and payload disagree")
    return state, commit_hash, path


# ---- section 7: sampled masks -------------------------------------------------------------------------------------


def sample_mask(seed, model_id, subset_size, example_ct):
    """The packed mask of a model: subset_size of example_ct examples."""
    stream = np.random.Philox(key=np.array([seed, model_id], np.uint64))
    words = iter(stream.random_raw(subset_size).tolist())

    def next_word():
        word = next(words, None)
        return int(stream.random_raw()) if word is None else word

    def number_below(limit):
        product = next_word() * limit
        if product % 2**64 < limit:
            threshold = 2**64 % limit
            while product % 2**64 < threshold:
                product = next_word() * limit
        return product >> 64

    subset = set()
    for j in range(example_ct - subset_size, example_ct):
        t = number_below(j + 1)
        subset.add(j if t in subset else t)
    bits = np.zeros(example_ct, np.uint8)
    bits[list(subset)] = 1
    return np.packbits(bits, bitorder="little")


# ---- sections 2.2 and 2.3: the values of a group ------------------------------------------------------------------


def undo_codec(codec, payload, encoded_bytes, what):
    if codec == 1:
        data = zstandard.ZstdDecompressor().decompress(bytes(payload), max_output_size=encoded_bytes)
        require(len(data) == encoded_bytes, f"{what}: {len(data)} bytes decompressed, {encoded_bytes} announced")
        return data
    require(codec == 0, f"{what}: codec {codec} is not known")
    require(len(payload) == encoded_bytes, f"{what}: payload and encoded length differ")
    return bytes(payload)


def decode_chunk(block, group, column, example_ct, first_target, target_ct):
    """The decoded rows of one tile: R x row bytes."""
    fields = block.fields("QIIQIBBBBIIQQQQ")
    own_group, column_id, row_ct, own_first, own_targets, encoding, codec, dtype, zero = fields[:9]
    stride, zero_again, decoded_bytes, hash_low, hash_high, encoded_bytes = fields[9:]
    what = f"{block.name} (column {column.name}, group {group.number})"
    require(
        (own_group, column_id, row_ct, own_first, own_targets, dtype, zero, zero_again)
        == (group.number, column.id, len(group.ids), first_target, target_ct, column.dtype, 0, 0),
        f"{what}: is another chunk",
    )
    row_bytes = column.row_bytes(target_ct)
    require(decoded_bytes == row_ct * row_bytes, f"{what}: decoded length")
    data = undo_codec(codec, block.payload, encoded_bytes, what)
    require((stride != 0) == (encoding == PLAIN and codec == 0), f"{what}: row stride")
    if encoding == PLAIN:
        stride = stride or row_bytes
        require(stride >= row_bytes and len(data) == row_ct * stride, f"{what}: lengths disagree")
        padded = np.frombuffer(data, np.uint8).reshape(row_ct, stride)
        require(not padded[:, row_bytes:].any(), f"{what}: padding of rows is not zero")
        rows = padded[:, :row_bytes]
    elif encoding == BYTE_PLANES:
        value_bytes = column.bits // 8
        require(value_bytes in (2, 4) and len(data) == decoded_bytes, f"{what}: byte planes")
        rows = np.frombuffer(data, np.uint8).reshape(value_bytes, -1).T
    elif encoding == ID_RUNS:
        require(column.kind == KIND_ID, f"{what}: id runs")
        rows = np.array(decode_ids(data, row_ct), "<u8").view(np.uint8)
    else:
        require(encoding == SAMPLED and column.kind == KIND_MASK and len(data) == 16 * row_ct, f"{what}: encoding")
        rows = np.stack(
            [
                sample_mask(seed, model_id, size, example_ct)
                for model_id, (seed, size) in zip(group.ids, sampled_entries(data, example_ct, what))
            ]
        )
    rows = np.ascontiguousarray(rows).reshape(row_ct, row_bytes)
    require(hash128(rows.tobytes()) == (hash_low, hash_high), f"{what}: content hash")
    return rows


def sampled_entries(data, example_ct, what):
    for seed, size, generator in struct.iter_unpack("<QII", data):
        require(generator == 1 and size <= example_ct, f"{what}: a sampled mask of generator {generator}, size {size}")
        yield seed, size


def read_group_column(files, schema, group, column):
    """(values, R x values of a row; present, R bools) of a column of a group."""
    row_ct = len(group.ids)
    value_ct = column.target_ct * column.values_per_target
    if column.id not in group.columns:
        require(column.kind in (KIND_OUTPUT, KIND_SCALAR), f"group {group.number} has no {column.name}")
        return np.zeros((row_ct, value_ct), column.numpy_dtype()), np.zeros(row_ct, bool)
    segment, offset, header_hash, present_ct, stored_bytes = group.columns[column.id]
    directory = files[segment].referred(offset, header_hash, DIRECTORY)
    tile_ct = -(-column.target_ct // column.tile_targets)
    require(
        directory.fields("QIIIII") == (group.number, column.id, row_ct, tile_ct, present_ct, column.tile_targets),
        f"{directory.name}: is not the directory of column {column.name} of group {group.number}",
    )
    cursor = Cursor(directory.payload, directory.name)
    present = np.ones(row_ct, bool)
    if present_ct < row_ct:
        bits = np.unpackbits(np.frombuffer(cursor.take_padded(-(-row_ct // 8)), np.uint8), bitorder="little")
        require(not bits[row_ct:].any() and bits.sum() == present_ct, f"{directory.name}: presence bitmap")
        present = bits[:row_ct].astype(bool)
    tiles, bytes_seen = [], directory.extent
    for tile in range(tile_ct):
        first = tile * column.tile_targets
        target_ct = min(column.tile_targets, column.target_ct - first)
        chunk_offset, payload_bytes, payload_hash, chunk_hash = cursor.fields("QQQQ")
        chunk = files[segment].referred(chunk_offset, chunk_hash, CHUNK)
        require(
            (payload_bytes, payload_hash) == (len(chunk.payload), hash64(chunk.payload)),
            f"{directory.name}: tile {tile} is another chunk",
        )
        rows = decode_chunk(chunk, group, column, schema.example_ct, first, target_ct)
        require(not rows[~present].any(), f"{chunk.name}: a row without values is not zero")
        tiles.append(column.values(rows, target_ct))
        bytes_seen += chunk.extent
    cursor.end()
    require(bytes_seen == stored_bytes, f"{directory.name}: stored bytes {bytes_seen}, {stored_bytes} announced")
    return np.concatenate(tiles, axis=1), present


# ---- section 2.4: staged rows -------------------------------------------------------------------------------------


def read_batch(files, schema, batch):
    """[(values, present)] of every column of a batch, in the order of the schema."""
    block = files[batch.segment].referred(batch.offset, batch.header_hash, ROWS)
    columns = schema.columns[: batch.column_ct]
    row_ct = len(batch.ids)
    sizes = [align(c.row_bytes(c.target_ct), 8) for c in columns if c.kind != KIND_ID]
    presence_bytes = align(-(-(len(columns) - 2) // 8), 8)
    row_bytes = 24 + presence_bytes + sum(sizes)
    require(
        block.fields("QIII") == (batch.number, row_ct, row_bytes, len(columns)),
        f"{block.name}: is not batch {batch.number} of {row_ct} rows of {row_bytes} bytes",
    )
    require(len(block.payload) == row_ct * row_bytes, f"{block.name}: length")
    rows = np.frombuffer(block.payload, np.uint8).reshape(row_ct, row_bytes)
    ids = rows[:, :8].copy().view("<u8").reshape(row_ct)
    require(ids.tolist() == batch.ids, f"{block.name}: model ids")
    presence = np.unpackbits(rows[:, 24 : 24 + presence_bytes], axis=1, bitorder="little").astype(bool)
    require(not presence[:, max(len(columns) - 2, 0) :].any(), f"{block.name}: presence bits beyond the columns")
    read, at = [], 24 + presence_bytes
    for position, column in enumerate(columns):
        if column.kind == KIND_ID:
            read.append((ids.reshape(row_ct, 1), np.ones(row_ct, bool)))
            continue
        size = column.row_bytes(column.target_ct)
        part = rows[:, at : at + align(size, 8)]
        require(not part[:, size:].any(), f"{block.name}: padding of column {column.name}")
        present = presence[:, position - 2] if position >= 2 else np.ones(row_ct, bool)
        require(not part[~present].any(), f"{block.name}: a row without {column.name} is not zero")
        read.append((column.values(np.ascontiguousarray(part[:, :size]), column.target_ct), present))
        at += align(size, 8)
    check_claims(block, rows, ids, schema, read[MASK_COLUMN][0])
    for column in schema.columns[batch.column_ct :]:
        value_ct = column.target_ct * column.values_per_target
        read.append((np.zeros((row_ct, value_ct), column.numpy_dtype()), np.zeros(row_ct, bool)))
    return read


def check_claims(block, rows, ids, schema, masks):
    """Masks of staged rows that are said to be sampled are."""
    for row, (seed, size, generator) in enumerate(struct.iter_unpack("<QII", rows[:, 8:24].tobytes())):
        require(generator in (0, 1), f"{block.name}: generator {generator}")
        require(generator == 1 or (seed, size) == (0, 0), f"{block.name}: a seed without a generator")
        if generator == 1:
            mask = np.unpackbits(sample_mask(seed, int(ids[row]), size, schema.example_ct), bitorder="little")
            require(np.array_equal(mask[: schema.example_ct], masks[row]), f"{block.name}: row {row} was not sampled")


# ---- section 6: the store -----------------------------------------------------------------------------------------


def open_segments(directory):
    """{number: SegmentFile} of all segment files in a store directory."""
    files = {}
    folder = os.path.join(directory, "segments")
    for name in sorted(os.listdir(folder)):
        match = re.fullmatch(r"(\d{8,})\.dms", name)
        if match:
            number = int(match.group(1))
            require(name == f"{number:08d}.dms", f"{name}: not the name of segment {number}")
            files[number] = SegmentFile(os.path.join(folder, name), number)
    require(files, f"{directory}: no segment files")
    require(len({file.store_uuid for file in files.values()}) == 1, f"{directory}: segments of different stores")
    return files


def choose_chain(commits):
    """The commits that count, by sequence number. Of two with one number, the one that the next commit names is right."""
    by_sequence = {}
    for commit in commits:
        by_sequence.setdefault(commit.sequence, []).append(commit)
    chain, wanted = {}, None
    for sequence in sorted(by_sequence, reverse=True):
        candidates = by_sequence[sequence]
        if sequence + 1 in chain:
            candidates = [commit for commit in candidates if commit.block.header_hash == wanted]
        elif not chain:
            candidates = sorted((c for c in candidates if c.is_whole()), key=lambda commit: commit.time)
        if candidates:
            chain[sequence] = candidates[-1]
            wanted = candidates[-1].previous_hash
    return [chain[sequence] for sequence in sorted(chain)]


def replay(files):
    """The state of a store, from the commits in its segments alone."""
    chain = choose_chain([commit for file in files.values() for commit in file.commits()])
    state = State(None)
    for index in range(len(chain) - 1, -1, -1):
        references = [edit for edit in chain[index].edits if edit[0] == "state"]
        if references:
            _, offset, header_hash = references[-1]
            block = chain[index].block.segment.referred(offset, header_hash, STATE)
            state, previous_hash, path = decode_state(block)
            require(previous_hash == chain[index].previous_hash and not path, f"{block.name}: of another commit")
            require(state.sequence == chain[index].sequence, f"{block.name}: of another sequence number")
            state.commit_hash = chain[index].block.header_hash
            chain = chain[index + 1 :]
            break
    for commit in chain:
        require(commit.is_whole(), f"{commit.block.name}: a block of the transaction is missing")
        state.apply(commit)
    for file in files.values():
        last = max((commit.block for commit in file.commits()), key=lambda block: block.offset, default=None)
        if last is not None:
            file.check_coverage(last.offset + last.extent)
    require(state.schema is not None, "no commit says what the schema is")
    return state


def read_spool(spool):
    """The files and the state of a spool file: batches 0, 1, ..."""
    types = [block.type for block in spool.blocks.values()]
    require(types == [SEGMENT, *[ROWS] * (len(types) - 2), COMMIT], f"{spool.path}: not a spool file")
    spool.check_coverage(len(spool.data))
    (commit,) = spool.commits()
    require(commit.is_whole(), f"{commit.block.name}: hash of the blocks")
    added = [edit[:2] for edit in commit.edits]
    require(added == [("add batch", k) for k in range(len(types) - 2)], f"{commit.block.name}: not the batches of the file")
    state = State(spool.schema)
    state.apply(commit)
    return {0: spool}, state


def read_manifest(manifest):
    """The files and the state that a manifest names."""
    path = manifest.path
    require([block.type for block in manifest.blocks.values()] == [SEGMENT, STATE], f"{path}: not a manifest")
    manifest.check_coverage(len(manifest.data))
    state, _, directory = decode_state(list(manifest.blocks.values())[1])
    files = {}
    for number, (uuid, committed_bytes, kind) in state.segments.items():
        file = SegmentFile(os.path.join(os.fsdecode(directory), "segments", f"{number:08d}.dms"), number)
        require((file.uuid, file.kind) == (uuid, kind), f"{file.path}: another file than the manifest names")
        require(file.store_uuid == manifest.store_uuid, f"{file.path}: a segment of another store")
        file.check_coverage(committed_bytes)
        files[number] = file
    return files, state


class Store:
    """All live rows, by increasing model id."""

    def __init__(self, path):
        if os.path.isdir(path):
            self.files = open_segments(path)
            self.state = replay(self.files)
        else:
            file = SegmentFile(path, 0)
            require(file.kind in (MANIFEST, SPOOL), f"{path}: neither a manifest nor a spool file")
            self.files, self.state = {MANIFEST: read_manifest, SPOOL: read_spool}[file.kind](file)
        self.schema = self.state.schema
        self.ids, self.values, self.present = self._assemble()

    def _assemble(self):
        columns = self.schema.columns
        containers = [*self.state.groups.values(), *self.state.batches.values()]
        parts = [[] for _ in columns]
        presences = [[] for _ in columns]
        ids = []
        for container in containers:
            live = np.ones(len(container.ids), bool)
            live[list(container.removed)] = False
            ids.append(np.array(container.ids, np.uint64)[live])
            if isinstance(container, Batch):
                read = read_batch(self.files, self.schema, container)
            else:
                read = [read_group_column(self.files, self.schema, container, column) for column in columns]
            require(read[ID_COLUMN][0].ravel().tolist() == container.ids, f"{container.number}: model ids disagree")
            for position, (values, present) in enumerate(read):
                parts[position].append(values[live])
                presences[position].append(present[live])
        all_ids = np.concatenate(ids) if ids else np.zeros(0, np.uint64)
        require(len(np.unique(all_ids)) == len(all_ids), "a model id is live twice")
        order = np.argsort(all_ids, kind="stable")
        values, present = {}, {}
        for column, column_parts, column_presences in zip(columns, parts, presences):
            empty = np.zeros((0, column.target_ct * column.values_per_target), column.numpy_dtype())
            rows = np.concatenate([empty, *column_parts])[order]
            values[column.name] = rows.reshape((len(rows), *column.dimensions))
            present[column.name] = np.concatenate([np.zeros(0, bool), *column_presences])[order]
        return all_ids[order], values, present

    def export(self, directory):
        os.makedirs(directory, exist_ok=True)
        for name, array in self.values.items():
            file_name = {"mask": "masks", "id": "ids"}.get(name, name)
            if array.dtype.kind == "f":
                array = array.copy()
                array[~self.present[name]] = np.nan
            np.save(os.path.join(directory, f"{file_name}.npy"), array)
            if name not in ("mask", "id"):
                np.save(os.path.join(directory, f"{name}.present.npy"), self.present[name])

    def print(self):
        schema = self.schema
        print(f"{len(self.ids)} models, {schema.example_ct} examples, {len(self.files)} segments")
        print(f"sequence {self.state.sequence}, schema version {schema.version}, digest {schema.digest.hex() or 'none'}")
        print(f"{len(self.state.groups)} groups, {len(self.state.batches)} batches")
        for column in schema.columns:
            shape = "x".join(map(str, column.dimensions)) or "scalar"
            print(f"{column.name} {shape} {column.numpy_dtype()}: {self.present[column.name].sum()} values")
        for key, value in schema.metadata.items():
            print(f"{key}={value}")


def main():
    parser = argparse.ArgumentParser(description="Reads a dmstore store by its specification.")
    parser.add_argument("store", help="a store directory, a manifest, or a spool file")
    parser.add_argument("--export", metavar="DIRECTORY", help="write all arrays as .npy files")
    arguments = parser.parse_args()
    try:
        store = Store(arguments.store)
    except (FormatError, OSError, zstandard.ZstdError) as error:
        print(f"reader.py: {error}", file=sys.stderr)
        return 1
    if arguments.export:
        store.export(arguments.export)
    else:
        store.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
