/*
 * The page that `dmstore report` writes of a fit: its parts, in the order in which they are on it.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h); errors of
 * the file are left to ferror.
 */
#ifndef DMSTORE_TOOLS_FIT_PAGE_H
#define DMSTORE_TOOLS_FIT_PAGE_H

#include "fit_findings.h"
#include "page.h"
#include "thumbnails.h"

/* Pictures of training examples and of targets; zeroed ones where there are none. */
struct fit_pictures {
    struct thumbnails examples, targets;
};

/* The whole page. */
int fit_page_write(const struct fit_findings *findings, const struct fit_pictures *pictures,
                   FILE *file);

/* Its sections; in fit_page_figures.c and fit_page_examples.c. */
void fit_page_scores(struct page *page, const struct fit_findings *findings);
void fit_page_scatter(struct page *page, const struct fit_findings *findings);
void fit_page_sparsity(struct page *page, const struct fit_findings *findings);
void fit_page_lambda(struct page *page, const struct fit_findings *findings);
int fit_page_support(struct page *page, const struct fit_findings *findings);
int fit_page_examples(struct page *page, const struct fit_findings *findings,
                      const struct fit_pictures *pictures);

/* The numbers behind the figures, as JSON in a <script> that is no program; in fit_page_data.c. */
int fit_page_data(struct page *page, const struct fit_findings *findings);

/* "target 7" and what is known of it, escaped. */
void fit_page_target_name(struct page *page, const struct fit_findings *findings, uint64_t target);

/* How many held-out models of a shown target are drawn and listed, so that all targets together
 * have no more than a page can take; drawn model i is models number
 * fit_page_drawn_model(findings, models, i). */
size_t fit_page_drawn_ct(const struct fit_findings *findings,
                         const struct dms_target_models *models);
size_t fit_page_drawn_model(const struct fit_findings *findings,
                            const struct dms_target_models *models, size_t i);

#endif
