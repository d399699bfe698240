/*
 * The CUDA module: the runtime's functions and the kernels' launchers in one table.
 */
#include <stdio.h>
#include <string.h>

#include "kernels/cuda/device.h"

static const char *error_text(int code)
{
    static char text[256];
    cudaError_t error = (cudaError_t)code;

    snprintf(text, sizeof(text), "%s: %s", cudaGetErrorName(error), cudaGetErrorString(error));
    return text;
}

static enum dms_cuda_failure classify(int code)
{
    switch ((cudaError_t)code) {
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInvalidDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady:
        return DMS_CUDA_NO_DEVICE;
    case cudaErrorMemoryAllocation:
        return DMS_CUDA_NO_MEMORY;
    case cudaErrorDevicesUnavailable:
    case cudaErrorECCUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorMisalignedAddress:
    case cudaErrorUnknown:
        return DMS_CUDA_LOST;
    default:
        return DMS_CUDA_OTHER;
    }
}

static int device_ct(int *ct)
{
    return cudaGetDeviceCount(ct);
}

static int device_info(int device, struct dms_cuda_device_info *info)
{
    struct cudaDeviceProp properties;
    size_t free_bytes = 0, total_bytes = 0;
    int code = cudaGetDeviceProperties(&properties, device);

    if (code == 0)
        code = cudaSetDevice(device);
    if (code == 0)
        code = cudaMemGetInfo(&free_bytes, &total_bytes);
    if (code != 0)
        return code;
    memset(info, 0, sizeof(*info));
    snprintf(info->name, sizeof(info->name), "%.*s", (int)sizeof(info->name) - 1, properties.name);
    info->major = properties.major;
    info->minor = properties.minor;
    info->total_bytes = total_bytes;
    info->free_bytes = free_bytes;
    return 0;
}

static int select(int device)
{
    return cudaSetDevice(device);
}

static int memory(uint64_t *free_bytes, uint64_t *total_bytes)
{
    size_t free_size = 0, total_size = 0;
    int code = cudaMemGetInfo(&free_size, &total_size);

    *free_bytes = free_size;
    *total_bytes = total_size;
    return code;
}

/* A failed allocation shall not be what cudaGetLastError finds after the next launch. */
static int allocated(cudaError_t code)
{
    if (code == cudaErrorMemoryAllocation)
        (void)cudaGetLastError();
    return code;
}

static int allocate(size_t bytes, void **address)
{
    return allocated(cudaMalloc(address, bytes));
}

static void release(void *address)
{
    (void)cudaFree(address);
}

static int allocate_pinned(size_t bytes, void **address)
{
    return allocated(cudaHostAlloc(address, bytes, cudaHostAllocPortable | cudaHostAllocMapped));
}

static void release_pinned(void *address)
{
    (void)cudaFreeHost(address);
}

static int create_stream(dms_cuda_stream **stream)
{
    return cudaStreamCreateWithFlags((cudaStream_t *)stream, cudaStreamNonBlocking);
}

static void destroy_stream(dms_cuda_stream *stream)
{
    (void)cudaStreamDestroy((cudaStream_t)stream);
}

static int finish(dms_cuda_stream *stream)
{
    return cudaStreamSynchronize((cudaStream_t)stream);
}

static int create_event(dms_cuda_event **event)
{
    return cudaEventCreateWithFlags((cudaEvent_t *)event, cudaEventDisableTiming);
}

static void destroy_event(dms_cuda_event *event)
{
    (void)cudaEventDestroy((cudaEvent_t)event);
}

static int record(dms_cuda_event *event, dms_cuda_stream *stream)
{
    return cudaEventRecord((cudaEvent_t)event, (cudaStream_t)stream);
}

static int wait(dms_cuda_stream *stream, dms_cuda_event *event)
{
    return cudaStreamWaitEvent((cudaStream_t)stream, (cudaEvent_t)event, 0);
}

static int await(dms_cuda_event *event)
{
    return cudaEventSynchronize((cudaEvent_t)event);
}

static int copy(void *to, const void *from, size_t bytes, dms_cuda_stream *stream)
{
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, (cudaStream_t)stream);
}

static int clear(void *address, size_t bytes, dms_cuda_stream *stream)
{
    return cudaMemsetAsync(address, 0, bytes, (cudaStream_t)stream);
}

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

static const struct dms_cuda_module module = {DMS_CUDA_MODULE_VERSION,
                                              "CUDA runtime " TEXT(CUDART_VERSION),
                                              error_text,
                                              classify,
                                              device_ct,
                                              device_info,
                                              select,
                                              memory,
                                              allocate,
                                              release,
                                              allocate_pinned,
                                              release_pinned,
                                              create_stream,
                                              destroy_stream,
                                              finish,
                                              create_event,
                                              destroy_event,
                                              record,
                                              wait,
                                              await,
                                              copy,
                                              clear,
                                              DMS_CUDA_LAUNCHERS};

extern "C" __attribute__((visibility("default"))) const struct dms_cuda_module *
dms_cuda_module_get(void)
{
    return &module;
}
