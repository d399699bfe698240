/*
 * Words that several commands take and print.
 */
#ifndef DMSTORE_TOOLS_CHOICES_H
#define DMSTORE_TOOLS_CHOICES_H

/* By enum dms_device and by enum dms_solver; NULL at the end, as OPTION_CHOICE takes them. */
extern const char *const device_words[];
extern const char *const solver_words[];

#endif
