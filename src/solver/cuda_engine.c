/*
 * The CUDA engine: its table of functions, its device, and pinned memory for readers.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/cuda_panel.h"

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

int dms_cuda_engine_open(struct dms_engine *engine)
{
    struct dms_cuda *cuda = dms_alloc(1, sizeof *cuda);
    int rc = cuda ? dms_cuda_open(cuda) : DMS_ERR_NO_MEMORY;

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
