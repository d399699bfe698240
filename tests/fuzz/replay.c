/*
 * Runs a fuzz target on inputs that are there: the files named as arguments, those in the
 * directories named, or without arguments the target's corpus in the source tree. For every input
 * of a corpus it also runs each truncation and each flip of one bit, so that an ordinary test run
 * covers the neighbourhood of what the fuzzer has found. Prints TAP; an input that fails ends the
 * program, after its name.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { NEIGHBOURHOOD_BYTES_MAX = 4096 }; /* of larger inputs, only the input itself is run */

static unsigned long input_ct;
static unsigned long execution_ct;
static unsigned long unreadable_ct;

/* Runs the target on a copy that ends where its memory does, so that a sanitizer sees every read
 * beyond. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    execution_ct++;
}

static void run_neighbourhood(uint8_t *data, size_t size)
{
    run(data, size);
    if (size > NEIGHBOURHOOD_BYTES_MAX)
        return;
    for (size_t length = 0; length < size; length++)
        run(data, length);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        run(data, size);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void replay_file(const char *path, size_t bytes)
{
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    FILE *file = fopen(path, "rb");

    if (file == NULL || data == NULL || fread(data, 1, bytes, file) != bytes) {
        printf("# cannot read %s: %s\n", path, strerror(errno));
        unreadable_ct++;
    } else {
        printf("# %s\n", path);
        fflush(stdout);
        run_neighbourhood(data, bytes);
        input_ct++;
    }
    if (file != NULL)
        fclose(file);
    free(data);
}

static void replay(const char *path)
{
    struct stat status;
    struct dirent *entry;
    DIR *directory;

    if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return;
    }
    directory = opendir(path);
    if (directory == NULL) {
        printf("# cannot open %s: %s\n", path, strerror(errno));
        unreadable_ct++;
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        char inner[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        replay(inner);
    }
    closedir(directory);
}

/* tests/fuzz/corpus/NAME for a program called NAME_fuzz, in the source tree that the environment
 * names. */
static void replay_corpus(const char *program)
{
    const char *source = getenv("DMSTORE_SOURCE_DIR");
    const char *slash = strrchr(program, '/');
    const char *name = slash == NULL ? program : slash + 1;
    char path[4096];

    if (strncmp(name, "lt-", 3) == 0) /* libtool's name for a program that was not installed yet */
        name += 3;
    snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%.*s", source == NULL ? "." : source,
             (int)strcspn(name, "_"), name);
    replay(path);
}

int main(int argc, char **argv)
{
    bool passed;

    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (argc == 1)
        replay_corpus(argv[0]);
    passed = input_ct > 0 && unreadable_ct == 0;
    printf("%s 1 - %lu inputs and their neighbourhoods replayed, %lu executions\n1..1\n",
           passed ? "ok" : "not ok", input_ct, execution_ct);
    return passed ? 0 : 1;
}
