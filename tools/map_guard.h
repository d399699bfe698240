/*
 * What becomes of the program when a file that it has mapped is cut short by another program, or
 * its disk fails: a message and exit status 1 instead of a crash. (Where the library copies out of
 * maps itself, it makes an error of it before this is asked.)
 */
#ifndef DMSTORE_TOOLS_MAP_GUARD_H
#define DMSTORE_TOOLS_MAP_GUARD_H

/* Installs the handler of SIGBUS. */
void map_guard_install(void);

#endif
