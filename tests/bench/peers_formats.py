"""The formats that peers_stores.py holds against dmstore: each takes masks and outputs in, opens them and delivers
shuffled minibatches. One process measures one thing of one format:

    peers_formats.py FORMAT ingest --path PATH --masks FILE --outputs FILE [--threads T]
    peers_formats.py FORMAT read --path PATH --order random|quasi-random [--first-target A] --targets N
                     [--batch-rows B] [--threads T] [--epochs E]
    peers_formats.py FORMAT version

FILEs are .npy: packed masks (models x examples / 8, uint8) and outputs (models x targets, float16). Everything is
synced to the disk before ingest ends. What is printed is one JSON object; a read says what epochs_bench says of
dmstore.

Random: every row anywhere. Quasi-random: as dmstore's, chunks of CHUNK_ROWS rows shuffled, rows drawn from a window
of 8 of them. A batch is two arrays, masks and outputs, each in one piece: packed bits and float16, but for fast_l1's
layout (a byte for each bit) and FFCV's (the same, and float32), which nobody packs.
"""
import argparse
import json
import os
import time

import numpy as np

CHUNK_ROWS, TILE_TARGETS = 1024, 512  # what dmstore takes for 50,000 examples
WINDOW_CHUNKS = 8
SEED = 1


def tiles_of(first, end):
    """(number, first, end) of the tiles of targets that first .. end - 1 lie in."""
    for number in range(first // TILE_TARGETS, -(-end // TILE_TARGETS)):
        begin = number * TILE_TARGETS
        yield number, max(first, begin), min(end, begin + TILE_TARGETS)


def sync(path):
    """All files at or below a path, to the disk."""
    names = [path]
    for folder, _, files in os.walk(path):
        names += [folder] + [os.path.join(folder, name) for name in files]
    for name in names:
        file = os.open(name, os.O_RDONLY)
        os.fsync(file)
        os.close(file)


def bytes_of(path):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, files in os.walk(path) for name in files)


class Format:
    """Masks and outputs below directory `path`. Subclasses deliver rows start .. stop - 1 in one piece (`slab`), and
    those of a list (`take`), with targets first .. end - 1."""

    name, package, module, setting = "", "", None, ""
    orders = ("random", "quasi-random")
    thread_note = ""

    def __init__(self, path, thread_ct=1):
        self.path, self.thread_ct = path, thread_ct
        self.row_ct = 0

    def write(self, masks, outputs):
        raise NotImplementedError

    def open(self):
        raise NotImplementedError

    def slab(self, start, stop, first, end):
        raise NotImplementedError

    def take(self, rows, first, end):
        raise NotImplementedError

    def prepare(self, setting):
        """What has to be known before `open`."""

    def load(self):
        """Imports what is needed, so that it is not timed."""

    def window(self, chunks, first, end):
        slabs = [self.slab(chunk * CHUNK_ROWS, min(self.row_ct, (chunk + 1) * CHUNK_ROWS), first, end)
                 for chunk in chunks]
        return np.concatenate([masks for masks, _ in slabs]), np.concatenate([outputs for _, outputs in slabs])

    def batches(self, order, first, end, batch_rows, epoch):
        random = np.random.default_rng([SEED, epoch])
        if order == "random":
            rows = random.permutation(self.row_ct)
            for at in range(0, self.row_ct, batch_rows):
                yield self.take(rows[at:at + batch_rows], first, end)
            return
        chunks = random.permutation(-(-self.row_ct // CHUNK_ROWS))
        for at in range(0, len(chunks), WINDOW_CHUNKS):
            masks, outputs = self.window(chunks[at:at + WINDOW_CHUNKS], first, end)
            rows = random.permutation(len(masks))
            for begin in range(0, len(rows), batch_rows):
                yield masks[rows[begin:begin + batch_rows]], outputs[rows[begin:begin + batch_rows]]

    def packed(self, masks, outputs):
        """A batch as dmstore delivers it, for comparing."""
        return masks, outputs


def blocks(masks, outputs):
    for start in range(0, len(masks), CHUNK_ROWS):
        yield start, masks[start:start + CHUNK_ROWS], outputs[start:start + CHUNK_ROWS]


# ---- NumPy ---------------------------------------------------------------------------------------------------------


class Memmap(Format):
    """.npy files, mapped."""

    name, package = "NumPy memmap, packed masks", "numpy"
    setting = "two .npy files: packed bits, float16; rows gathered by indexing the map"
    orders = ("random",)
    thread_note = "uses one thread"

    def open(self):
        self.masks = np.load(os.path.join(self.path, "masks.npy"), mmap_mode="r")
        self.outputs = np.load(os.path.join(self.path, "outputs.npy"), mmap_mode="r")
        self.row_ct = len(self.masks)

    def take(self, rows, first, end):
        return self.masks[rows], self.outputs[rows, first:end]

    def encoded(self, masks):
        return masks

    def write(self, masks, outputs):
        files = None
        for start, some_masks, some_outputs in blocks(masks, outputs):
            stored = self.encoded(some_masks), some_outputs
            if not files:
                files = [np.lib.format.open_memmap(os.path.join(self.path, name), "w+", values.dtype,
                                                   (len(masks), values.shape[1]))
                         for name, values in zip(("masks.npy", "outputs.npy"), stored)]
            for file, values in zip(files, stored):
                file[start:start + len(values)] = values
        for file in files:
            file.flush()


class FastL1(Memmap):
    name = "NumPy memmap, fast_l1's layout"
    setting = "two .npy files: one byte for each bit, float16; rows gathered by indexing the map"

    def encoded(self, masks):
        return np.unpackbits(masks, axis=1, bitorder="little").view(bool)

    def packed(self, masks, outputs):
        return np.packbits(masks, axis=1, bitorder="little"), outputs


# ---- FFCV ----------------------------------------------------------------------------------------------------------


class Ffcv(Format):
    name, package, module = "FFCV", "ffcv", "ffcv"
    setting = (".beton of NDArrayField: one byte for each bit, float32; NDArrayDecoder, ToTensor; os_cache=True for "
               "random order, False for quasi-random, as its documentation has it")

    def file(self):
        return os.path.join(self.path, "data.beton")

    def load(self):
        import ffcv.fields.decoders
        import ffcv.loader
        import ffcv.transforms
        import ffcv.writer

    def write(self, masks, outputs):
        from ffcv.fields import NDArrayField
        from ffcv.writer import DatasetWriter

        class Rows:
            def __len__(self):
                return len(masks)

            def __getitem__(self, row):
                bits = np.unpackbits(masks[row], bitorder="little")
                return bits, outputs[row].astype(np.float32)

        fields = {"masks": NDArrayField(dtype=np.dtype("uint8"), shape=(8 * masks.shape[1],)),
                  "outputs": NDArrayField(dtype=np.dtype("float32"), shape=(outputs.shape[1],))}
        DatasetWriter(self.file(), fields, num_workers=self.thread_ct).from_indexed_dataset(Rows())

    def prepare(self, setting):
        self.order, self.batch_rows = setting.order, setting.batch_rows

    def open(self):
        from ffcv.fields.decoders import NDArrayDecoder
        from ffcv.loader import Loader, OrderOption
        from ffcv.transforms import ToTensor
        is_random = self.order == "random"
        self.loader = Loader(self.file(), batch_size=self.batch_rows, num_workers=self.thread_ct, os_cache=is_random,
                             order=OrderOption.RANDOM if is_random else OrderOption.QUASI_RANDOM, seed=SEED,
                             drop_last=False,
                             pipelines={name: [NDArrayDecoder(), ToTensor()] for name in ("masks", "outputs")})
        self.row_ct = len(self.loader.indices)

    def batches(self, order, first, end, batch_rows, epoch):
        for masks, outputs in self.loader:
            yield masks.numpy(), np.ascontiguousarray(outputs.numpy()[:, first:end])

    def packed(self, masks, outputs):
        return np.packbits(masks, axis=1, bitorder="little"), outputs.astype(np.float16)


# ---- chunked arrays ------------------------------------------------------------------------------------------------


class Zarr(Format):
    name, package, module = "Zarr v3", "zarr", "zarr"
    setting = f"chunks of {CHUNK_ROWS} rows x {TILE_TARGETS} targets, whole masks; compressors=None"

    def load(self):
        import zarr
        zarr.config.set({"threading.max_workers": self.thread_ct, "async.concurrency": 10})

    def write(self, masks, outputs):
        import zarr
        group = zarr.create_group(os.path.join(self.path, "data.zarr"), zarr_format=3)
        arrays = [group.create_array(name, shape=values.shape, dtype=values.dtype, compressors=None,
                                     chunks=(min(CHUNK_ROWS, len(values)), min(width, values.shape[1])))
                  for name, values, width in (("masks", masks, masks.shape[1]), ("outputs", outputs, TILE_TARGETS))]
        for start, some_masks, some_outputs in blocks(masks, outputs):
            arrays[0][start:start + len(some_masks)] = some_masks
            arrays[1][start:start + len(some_outputs)] = some_outputs

    def open(self):
        import zarr
        group = zarr.open_group(os.path.join(self.path, "data.zarr"), mode="r")
        self.masks, self.outputs = group["masks"], group["outputs"]
        self.row_ct = self.masks.shape[0]

    def slab(self, start, stop, first, end):
        return self.masks[start:stop], self.outputs[start:stop, first:end]

    def take(self, rows, first, end):
        return self.masks.oindex[rows], self.outputs.oindex[rows, slice(first, end)]


class Hdf5(Format):
    name, package, module = "HDF5 (h5py)", "h5py", "h5py"
    setting = "contiguous datasets, packed bits and float16; random rows by increasing index lists"
    thread_note = "uses one thread"

    def load(self):
        import h5py  # noqa: F401

    def write(self, masks, outputs):
        import h5py
        with h5py.File(os.path.join(self.path, "data.h5"), "w") as file:
            stored = [file.create_dataset(name, values.shape, values.dtype)
                      for name, values in (("masks", masks), ("outputs", outputs))]
            for start, some_masks, some_outputs in blocks(masks, outputs):
                stored[0][start:start + len(some_masks)] = some_masks
                stored[1][start:start + len(some_outputs)] = some_outputs

    def open(self):
        import h5py
        self.file = h5py.File(os.path.join(self.path, "data.h5"), "r")
        self.masks, self.outputs = self.file["masks"], self.file["outputs"]
        self.row_ct = len(self.masks)

    def slab(self, start, stop, first, end):
        return self.masks[start:stop], self.outputs[start:stop, first:end]

    def take(self, rows, first, end):
        # An index list must increase; what a batch has is in no order, so that its rows may come sorted.
        rows = np.sort(rows)
        return self.masks[rows], self.outputs[rows, first:end]


# ---- tables of columns ---------------------------------------------------------------------------------------------


class Columns(Format):
    """A table with a column of whole masks and one for each tile of targets."""

    def tile_names(self, first, end):
        return [f"outputs{number}" for number, _, _ in tiles_of(first, end)]

    def table_of(self, masks, outputs):
        import pyarrow
        width = outputs.shape[1]
        names, columns = ["masks"], [self.column_of(masks)]
        for number, begin, stop in tiles_of(0, width):
            names.append(f"outputs{number}")
            columns.append(self.column_of(outputs[:, begin:stop]))
        return pyarrow.table(columns, names)

    def gather(self, table, first, end):
        masks = self.values_of(table.column("masks"), np.uint8)
        outputs = np.empty((table.num_rows, end - first), np.float16)
        for number, begin, stop in tiles_of(first, end):
            values = self.values_of(table.column(f"outputs{number}"), np.float16)
            tile = number * TILE_TARGETS
            outputs[:, begin - first:stop - first] = values[:, begin - tile:stop - tile]
        return masks, outputs


class Parquet(Columns):
    name, package, module = "Parquet (pyarrow)", "pyarrow", "pyarrow.parquet"
    setting = (f"row groups of {CHUNK_ROWS}, FixedSizeBinary columns of whole masks and of {TILE_TARGETS} targets, "
               "plain, not compressed, memory_map=True")
    orders = ("quasi-random",)

    def load(self):
        import pyarrow
        import pyarrow.parquet  # noqa: F401
        pyarrow.set_cpu_count(self.thread_ct)

    def column_of(self, values):
        import pyarrow
        values = np.ascontiguousarray(values)
        return pyarrow.FixedSizeBinaryArray.from_buffers(pyarrow.binary(values.strides[0]), len(values),
                                                         [None, pyarrow.py_buffer(values)])

    def values_of(self, column, dtype):
        array = column.combine_chunks()
        array = array.chunk(0) if hasattr(array, "chunk") else array
        width = array.type.byte_width
        values = np.frombuffer(array.buffers()[1], dtype=np.uint8, count=len(array) * width,
                               offset=array.offset * width)
        return values.view(dtype).reshape(len(array), -1)

    def write(self, masks, outputs):
        from pyarrow import parquet
        writer = None
        for _, some_masks, some_outputs in blocks(masks, outputs):
            table = self.table_of(some_masks, some_outputs)
            writer = writer or parquet.ParquetWriter(os.path.join(self.path, "data.parquet"), table.schema,
                                                     compression="none", use_dictionary=False, write_statistics=False)
            writer.write_table(table, row_group_size=CHUNK_ROWS)
        writer.close()

    def open(self):
        from pyarrow import parquet
        self.file = parquet.ParquetFile(os.path.join(self.path, "data.parquet"), memory_map=True)
        self.row_ct = self.file.metadata.num_rows

    def slab(self, start, stop, first, end):
        table = self.file.read_row_group(start // CHUNK_ROWS, ["masks"] + self.tile_names(first, end),
                                         use_threads=self.thread_ct > 1)
        return self.gather(table, first, end)


class Lance(Columns):
    name, package, module = "Lance", "pylance", "lance"
    setting = (f"FixedSizeList columns of whole masks and of {TILE_TARGETS} targets; take() for random rows, "
               "scanner(offset, limit) for chunks")

    def load(self):
        import lance  # noqa: F401
        import pyarrow
        pyarrow.set_cpu_count(self.thread_ct)

    def column_of(self, values):
        import pyarrow
        values = np.ascontiguousarray(values)
        return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1)), values.shape[1])

    def values_of(self, column, dtype):
        array = column.combine_chunks()
        array = array.chunk(0) if hasattr(array, "chunk") else array
        return array.flatten().to_numpy(zero_copy_only=True).reshape(len(array), -1)

    def write(self, masks, outputs):
        import lance
        import pyarrow
        schema = self.table_of(masks[:1], outputs[:1]).schema

        def record_batches():
            for _, some_masks, some_outputs in blocks(masks, outputs):
                yield from self.table_of(some_masks, some_outputs).to_batches()

        lance.write_dataset(pyarrow.RecordBatchReader.from_batches(schema, record_batches()),
                            os.path.join(self.path, "data.lance"))

    def open(self):
        import lance
        self.dataset = lance.dataset(os.path.join(self.path, "data.lance"))
        self.row_ct = self.dataset.count_rows()

    def slab(self, start, stop, first, end):
        names = ["masks"] + self.tile_names(first, end)
        return self.gather(self.dataset.scanner(columns=names, offset=start, limit=stop - start).to_table(), first, end)

    def take(self, rows, first, end):
        return self.gather(self.dataset.take(rows, columns=["masks"] + self.tile_names(first, end)), first, end)


FORMATS = {"memmap": Memmap, "fast_l1": FastL1, "ffcv": Ffcv, "zarr": Zarr, "lance": Lance, "parquet": Parquet,
           "hdf5": Hdf5}


# ---- one measurement -----------------------------------------------------------------------------------------------


def anonymous_bytes():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon:"))


def sums_of(masks, outputs):
    """Of the bytes of packed masks, and of the 16 bits of each output."""
    return int(masks.sum(dtype=np.uint64)), int(np.ascontiguousarray(outputs).view(np.uint16).sum(dtype=np.uint64))


def ingest(one, setting):
    masks, outputs = (np.load(path, mmap_mode="r") for path in (setting.masks, setting.outputs))
    os.mkdir(setting.path)
    before, start = anonymous_bytes(), time.perf_counter()
    one.write(masks, outputs)
    sync(setting.path)
    return {"seconds": time.perf_counter() - start, "anonymous_before": before, "anonymous_after": anonymous_bytes(),
            "bytes": bytes_of(setting.path)}


def read(one, setting):
    first, end = setting.first_target, setting.first_target + setting.targets
    one.prepare(setting)
    before, start = anonymous_bytes(), time.perf_counter()
    one.open()
    found = {"anonymous_before": before, "open": time.perf_counter() - start, "rows": one.row_ct, "epochs": [],
             "mask_sum": 0, "output_sum": 0}
    for epoch in range(setting.epochs + 1):
        start = time.perf_counter()
        for batch in one.batches(setting.order, first, end, setting.batch_rows, epoch):
            if epoch == 0:
                mask_sum, output_sum = sums_of(*one.packed(*batch))
                found["mask_sum"] += mask_sum
                found["output_sum"] += output_sum
        if epoch > 0:
            found["epochs"].append(time.perf_counter() - start)
    return {**found, "anonymous_after": anonymous_bytes()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("what", choices=["ingest", "read", "version"])
    for name in ("path", "masks", "outputs", "order"):
        parser.add_argument("--" + name)
    for name, usual in (("first-target", 0), ("targets", 0), ("batch-rows", 1024), ("threads", 1), ("epochs", 3)):
        parser.add_argument("--" + name, type=int, default=usual)
    setting = parser.parse_args()
    one = FORMATS[setting.format](setting.path, setting.threads)
    one.load()
    if setting.what == "version":
        import importlib.metadata
        found = {"version": importlib.metadata.version(one.package)}
    else:
        found = (ingest if setting.what == "ingest" else read)(one, setting)
    print(json.dumps(found), flush=True)
    os._exit(0)  # threads of FFCV's Loader may abort a process that ends by itself


if __name__ == "__main__":
    main()
