/*
 * The header of NumPy's .npy files, versions 1.0 to 3.0: what is needed to take in the published
 * data as it is and to give it back. Parsing and printing only; the caller does the reading and
 * writing.
 */
#ifndef DMSTORE_NPY_H
#define DMSTORE_NPY_H

#include "dmstore/error.h"
#include "dmstore/schema.h"

DMS_BEGIN_DECLS

#define DMS_NPY_DIMENSION_MAX 8
#define DMS_NPY_PREFIX_BYTES 12 /* enough of a file to know the length of its header */

struct dms_npy {
    char kind;           /* NumPy's: 'b' bool, 'u', 'i', 'f', 'S' bytes */
    uint32_t item_bytes; /* of one value */
    uint32_t dimension_ct;
    uint64_t dimensions[DMS_NPY_DIMENSION_MAX];
    uint64_t data_offset; /* of the first value in the file */
    uint64_t data_bytes;  /* product of the dimensions times item_bytes */
};

/* Bytes of the whole header, from the first min(bytes, DMS_NPY_PREFIX_BYTES) bytes of a file.
 * INVALID: not .npy. */
DMS_API int dms_npy_header_bytes(const uint8_t *data, size_t bytes, size_t *header_bytes);

/* Parses a whole header. INVALID with what is wrong: not .npy, Fortran order, big-endian,
 * structured dtype, a shape that overflows. */
DMS_API int dms_npy_parse(const uint8_t *data, size_t bytes, struct dms_npy *npy);

/* Prints the version 1.0 header of an array of this kind, item_bytes and dimensions, byte for byte
 * as NumPy does; sets data_offset and data_bytes. The header is the first data_offset bytes of
 * `header`, which has DMS_NPY_HEADER_BYTES. INVALID: a shape that overflows. */
#define DMS_NPY_HEADER_BYTES 256
DMS_API int dms_npy_print(struct dms_npy *npy, uint8_t *header);

DMS_END_DECLS

#endif
