/*
 * Marks what the shared library exports (it is built with hidden visibility) and gives public
 * declarations C linkage when a C++ compiler reads them.
 */
#ifndef DMSTORE_EXPORT_H
#define DMSTORE_EXPORT_H

#if defined(__GNUC__) || defined(__clang__)
#define DMS_API __attribute__((visibility("default")))
#else
#define DMS_API
#endif

#ifdef __cplusplus
#define DMS_BEGIN_DECLS extern "C" {
#define DMS_END_DECLS }
#else
#define DMS_BEGIN_DECLS
#define DMS_END_DECLS
#endif

#endif
