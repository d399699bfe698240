/*
 * Fits as bytes (SPEC.md section 10): the header that all parts of a fit share, and the parts, whose
 * arrays lie in the file as they are used. Encoding, decoding and validation; no I/O.
 */
#ifndef DMS_FORMAT_FIT_H
#define DMS_FORMAT_FIT_H

#include "base/buffer.h"
#include "base/hash.h"
#include "dmstore/fit.h"

#include <stddef.h>
#include <stdint.h>

/* ---- headers ---- */

/* INVALID unless `name` may be the name of a fit; the message says what may. */
int dms_fit_name_check(const char *name);

/* Checks every rule of a header. INVALID with what is wrong. */
int dms_fit_header_check(const struct dms_fit_header *header);

/* A deep copy in one block of memory, for the caller to free(). */
int dms_fit_header_copy(const struct dms_fit_header *original, struct dms_fit_header **copy);

/* 0 when a job with header `asked` may join the fit that was begun as `begun`; else CONFLICT, with
 * the first difference in words. Names and snapshots may differ. */
int dms_fit_header_compare(const struct dms_fit_header *begun, const struct dms_fit_header *asked);

/* Appends the payload of a fit block. The header must be valid. */
int dms_fit_header_encode(const struct dms_fit_header *header, struct dms_buffer *buffer);

/* Reads a payload that takes all of the `bytes` bytes. CORRUPT with what is wrong. *header is one
 * block of memory for the caller to free(). */
int dms_fit_header_decode(const uint8_t *payload, size_t bytes, struct dms_fit_header **header);

/* ---- parts ---- */

/* A part's payload, looked at in place: the pointers are into it, and NULL stands for none of
 * something. All have target_ct entries but where said. */
struct dms_fit_part_view {
    struct dms_hash128 header_hash; /* of the payload of its fit's block */
    uint64_t example_ct;            /* d */
    uint64_t column_target_ct;      /* n of the output column */
    uint64_t target_ct;
    uint64_t weight_ct; /* of all targets */
    uint64_t path_ct;   /* lambdas of all targets */
    uint32_t provenance_ct;
    uint32_t provenance_bytes;
    const uint8_t *provenance; /* encoded */
    const uint64_t *targets;   /* increasing */
    const uint32_t *flags;
    const uint32_t *chosen;
    const double *biases;
    const double *lambdas;
    const double *gaps;
    const double *null_deviances;
    const double *means;
    const uint64_t *row_cts;
    const uint64_t *weight_begins; /* target_ct + 1: positions in examples and weights */
    const uint64_t *path_begins;   /* target_ct + 1: positions in the arrays path_* */
    const uint32_t *examples;      /* weight_ct */
    const double *weights;         /* weight_ct */
    const double *path_lambdas;    /* path_ct, as are the following */
    const double *path_errors;
    const double *path_gaps;
    const uint32_t *path_weight_cts;
};

/* What a part is encoded from. */
struct dms_fit_part_content {
    struct dms_hash128 header_hash;
    const struct dms_fit_header *header;
    const struct dms_metadata *provenance;
    size_t provenance_ct;
    const struct dms_fitted_target *const *targets; /* by increasing target, each valid */
    size_t target_ct;
};

/* INVALID unless a target may be part of a fit with this header. */
int dms_fitted_target_check(const struct dms_fit_header *header,
                            const struct dms_fitted_target *target);

/* *bytes = the length of the payload that dms_fit_part_encode makes. INVALID when that is more than
 * a segment holds. */
int dms_fit_part_measure(const struct dms_fit_part_content *content, uint64_t *bytes);

/* Writes the payload into `bytes` bytes of memory, as measured. */
void dms_fit_part_encode(const struct dms_fit_part_content *content, uint8_t *payload,
                         size_t bytes);

/* Looks at a payload of `bytes` bytes that begins at a multiple of 8: lengths, and that no target,
 * position or example leads outside of them. CORRUPT with what is wrong. */
int dms_fit_part_view(const uint8_t *payload, size_t bytes, struct dms_fit_part_view *view);

/* Checks what dms_fit_part_view leaves unread: order of examples, finite numbers, flags, padding.
 */
int dms_fit_part_check(const uint8_t *payload, const struct dms_fit_part_view *view);

/* Target number `position`, in place. */
void dms_fit_part_view_target(const struct dms_fit_part_view *view, size_t position,
                              struct dms_fitted_target *target);

/* The provenance, in one block of memory for the caller to free(). */
int dms_fit_part_view_provenance(const struct dms_fit_part_view *view,
                                 struct dms_metadata **provenance);

#endif
