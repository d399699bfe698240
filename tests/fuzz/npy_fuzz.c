/*
 * Fuzz target: headers of .npy files. What is accepted can be printed, and reads back as the same
 * array.
 */
#include "fuzz.h"

#include "dmstore/npy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t header[DMS_NPY_HEADER_BYTES];
    struct dms_npy npy, printed, again;
    size_t header_bytes = 0;

    if (dms_npy_header_bytes(data, size < DMS_NPY_PREFIX_BYTES ? size : DMS_NPY_PREFIX_BYTES,
                             &header_bytes) != 0 ||
        header_bytes > size || dms_npy_parse(data, header_bytes, &npy) != 0)
        return 0;
    require(npy.data_offset == header_bytes && npy.dimension_ct <= DMS_NPY_DIMENSION_MAX &&
            npy.item_bytes > 0);
    printed = npy;
    require(dms_npy_print(&printed, header) == 0);
    require(dms_npy_parse(header, (size_t)printed.data_offset, &again) == 0);
    require(again.kind == npy.kind && again.item_bytes == npy.item_bytes &&
            again.data_bytes == npy.data_bytes && again.dimension_ct == npy.dimension_ct);
    require(memcmp(again.dimensions, npy.dimensions,
                   npy.dimension_ct * sizeof(npy.dimensions[0])) == 0);
    return 0;
}
