/*
 * Chooses the tables of kernels for the machine at hand, once per process.
 */
#include "kernels/gram_variants.h"
#include "kernels/lane_update_variants.h"
#include "kernels/lane_variants.h"
#include "kernels/pair_variants.h"
#include "kernels/variants.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

struct variant {
    const struct dms_kernels *kernels;
    const struct dms_lane_variant *lanes;
    const struct dms_lane_updates *const *updates; /* for float, for double */
    const struct dms_gram_kernels *gram;
    const struct dms_pair_kernels *pairs;
    bool (*supported)(void);
};

static bool always_supported(void)
{
    return true;
}

/* Each of these tests exactly the instruction sets that its variant's files are compiled for. */
#if defined(__x86_64__)
static bool avx2_supported(void)
{
    unsigned eax, ebx, ecx = 0, edx;

    /* Not every compiler's __builtin_cpu_supports() knows F16C. */
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_F16C) == 0)
        return false;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

static bool avx512_supported(void)
{
    return avx2_supported() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi");
}
#endif

/* Best first. */
static const struct variant variants[] = {
#if defined(__x86_64__)
    {&dms_kernels_avx512, &dms_lane_variant_avx512, dms_lane_updates_avx512,
     &dms_gram_kernels_avx512, &dms_pair_kernels_avx512, avx512_supported},
    {&dms_kernels_avx2, &dms_lane_variant_avx2, dms_lane_updates_avx2, &dms_gram_kernels_avx2,
     &dms_pair_kernels_avx2, avx2_supported},
#endif
    {&dms_kernels_ref, &dms_lane_variant_ref, dms_lane_updates_ref, &dms_gram_kernels_ref,
     &dms_pair_kernels_ref, always_supported},
};
static const size_t variant_ct = sizeof(variants) / sizeof(variants[0]);

static const struct variant *chosen;
static pthread_once_t choice = PTHREAD_ONCE_INIT;

static const struct variant *find(const char *name)
{
    for (size_t i = 0; i < variant_ct; i++)
        if (strcmp(variants[i].kernels->name, name) == 0 && variants[i].supported())
            return &variants[i];
    return NULL;
}

static void choose(void)
{
    const char *forced = getenv("DMS_KERNELS");

    if (forced != NULL)
        chosen = find(forced);
    for (size_t i = 0; chosen == NULL && i < variant_ct; i++)
        if (variants[i].supported())
            chosen = &variants[i];
}

const struct dms_kernels *dms_kernels_get(void)
{
    pthread_once(&choice, choose);
    return chosen->kernels;
}

const struct dms_kernels *dms_kernels_by_name(const char *name)
{
    const struct variant *variant = find(name);

    return variant != NULL ? variant->kernels : NULL;
}

const struct dms_lane_variant *dms_lane_variant_get(void)
{
    pthread_once(&choice, choose);
    return chosen->lanes;
}

const struct dms_lane_variant *dms_lane_variant_by_name(const char *name)
{
    const struct variant *variant = find(name);

    return variant != NULL ? variant->lanes : NULL;
}

const struct dms_lane_updates *dms_lane_updates_get(size_t real_bytes)
{
    pthread_once(&choice, choose);
    return chosen->updates[real_bytes == sizeof(double)];
}

const struct dms_lane_updates *dms_lane_updates_by_name(const char *name, size_t real_bytes)
{
    const struct variant *variant = find(name);

    return variant != NULL ? variant->updates[real_bytes == sizeof(double)] : NULL;
}

const struct dms_gram_kernels *dms_gram_kernels_get(void)
{
    pthread_once(&choice, choose);
    return chosen->gram;
}

const struct dms_gram_kernels *dms_gram_kernels_by_name(const char *name)
{
    const struct variant *variant = find(name);

    return variant != NULL ? variant->gram : NULL;
}

const struct dms_pair_kernels *dms_pair_kernels_get(void)
{
    pthread_once(&choice, choose);
    return chosen->pairs;
}

const struct dms_pair_kernels *dms_pair_kernels_by_name(const char *name)
{
    const struct variant *variant = find(name);

    return variant != NULL ? variant->pairs : NULL;
}
