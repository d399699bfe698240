/*
 * The CUDA engine: its device, opened and closed, what its failures mean, and pinned memory for
 * readers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/cuda_module.h"
#include "solver/cuda_panel.h"

/* The compute capabilities whose tensor cores AND and count bits in one instruction. */
#define FIRST_BINARY_MAJOR 8
#define LAST_BINARY_MAJOR 9

int dms_cuda_check(const struct dms_cuda *cuda, int code, const char *what)
{
    if (code == 0)
        return DMS_OK;
    switch (cuda->module->classify(code)) {
    case DMS_CUDA_NO_MEMORY:
        return dms_fail(DMS_ERR_NO_MEMORY, "CUDA device %d (%s) has no memory left for %s: %s",
                        cuda->index, cuda->name, what, cuda->module->error_text(code));
    case DMS_CUDA_LOST:
        return dms_fail(DMS_ERR_IO, "CUDA device %d (%s) was lost during %s: %s", cuda->index,
                        cuda->name, what, cuda->module->error_text(code));
    case DMS_CUDA_NO_DEVICE:
        return dms_fail(DMS_ERR_UNSUPPORTED, "CUDA device %d cannot be used: %s", cuda->index,
                        cuda->module->error_text(code));
    case DMS_CUDA_OTHER:
        break;
    }
    return dms_fail(DMS_ERR_IO, "CUDA device %d (%s) failed in %s: %s", cuda->index, cuda->name,
                    what, cuda->module->error_text(code));
}

/* ---- memory of batches ---- */

static void *allocate_batch(void *context, size_t bytes)
{
    const struct dms_cuda *cuda = context;
    void *memory = NULL;

    if (dms_cuda_check(cuda, cuda->module->allocate_pinned(bytes, &memory), "pinned buffers") < 0)
        return NULL;
    return memory;
}

static void release_batch(void *context, void *memory)
{
    const struct dms_cuda *cuda = context;

    cuda->module->release_pinned(memory);
}

/* ---- the engine ---- */

static const struct dms_engine functions = {
    .name = "cuda",
    .takes_packed = true,
    .shares_memory = true,
    .largest_batch = dms_cuda_largest_batch,
    .fits = dms_cuda_fits,
    .refuse = dms_cuda_refuse,
    .table_place = dms_cuda_table_place,
    .tile_bytes = dms_cuda_tile_bytes,
    .open = dms_cuda_open_panel,
    .close = dms_cuda_close_panel,
    .add_tile = dms_cuda_add_tile,
    .set_weights = dms_cuda_set_weights,
    .clear_weights = dms_cuda_clear_weights,
    .set_bias = dms_cuda_set_bias,
    .restart = dms_cuda_restart,
    .begin = dms_cuda_begin,
    .batch = dms_cuda_batch,
    .end = dms_cuda_end,
    .step = dms_cuda_step,
    .extract = dms_cuda_extract_model,
    .view = dms_cuda_view_lane,
};

static int open_device(struct dms_cuda *cuda)
{
    const char *products = getenv("DMS_CUDA_PRODUCTS");
    struct dms_cuda_device_info info = {.major = 0};
    int code = cuda->module->select(cuda->index);

    if (code == 0)
        code = cuda->module->device_info(cuda->index, &info);
    if (code != 0)
        return dms_cuda_check(cuda, code, "opening it");
    memcpy(cuda->name, info.name, sizeof cuda->name);
    cuda->free_bytes = info.free_bytes;
    cuda->in_double = products && strcmp(products, "double") == 0;
    cuda->counts_by_mma = info.major >= FIRST_BINARY_MAJOR && info.major <= LAST_BINARY_MAJOR;
    return DMS_OK;
}

int dms_cuda_engine_open(struct dms_engine *engine)
{
    struct dms_cuda *cuda = dms_alloc(1, sizeof *cuda);
    int rc = cuda ? dms_cuda_module_load(&cuda->module) : DMS_ERR_NO_MEMORY;

    if (rc == DMS_OK)
        rc = open_device(cuda);
    if (rc < 0) {
        free(cuda);
        return rc;
    }
    *engine = functions;
    engine->context = cuda;
    engine->memory = (struct dms_batch_memory){allocate_batch, release_batch, cuda};
    return DMS_OK;
}

void dms_cuda_engine_close(struct dms_engine *engine)
{
    free(engine->context);
    engine->context = NULL;
}
