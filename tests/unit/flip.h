/*
 * Damage to a file, for tests that it is noticed.
 */
#ifndef DMS_TESTS_UNIT_FLIP_H
#define DMS_TESTS_UNIT_FLIP_H

#include <stdbool.h>
#include <stdio.h>

/* Flips a bit of the byte at `offset`; a second time, it is back. */
static bool flip(const char *path, long offset)
{
    FILE *file = fopen(path, "r+b");
    int byte;
    bool done = file && fseek(file, offset, SEEK_SET) == 0 && (byte = fgetc(file)) != EOF &&
                fseek(file, offset, SEEK_SET) == 0 && fputc(byte ^ 0x10, file) != EOF;

    return file && fclose(file) == 0 && done;
}

#endif
