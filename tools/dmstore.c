/*
 * The program dmstore: finds the command that its first argument names and runs it. The table of
 * commands below is all there is to dispatch and to --help.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "map_guard.h"
#include "report.h"

static const struct command {
    const char *name; /* NULL: `summary` is the heading of a group of commands */
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {NULL, "Making a store and filling it", NULL},
    {"create", "make an empty store with its columns", command_create},
    {"add-column", "add an output or scalar column to a store", command_add_column},
    {"sample", "draw training masks of a fixed size", command_sample},
    {"ingest", "take in masks and outputs from .npy files or a spool", command_ingest},
    {"append", "take in rows from standard input, durably, as they come", command_append},
    {NULL, "Reading", NULL},
    {"info", "what a store holds, in short", command_info},
    {"ls", "columns and chunks with sizes, ratios and counts", command_ls},
    {"get", "print one model's mask, outputs and scalars", command_get},
    {"missing", "model ids that are not there, as ranges", command_missing},
    {"export", "write masks, outputs, scalars and ids as .npy files", command_export},
    {"bench", "how fast this machine reads a store", command_bench},
    {"snapshot", "publish the current state as a manifest file for readers", command_snapshot},
    {NULL, "Datamodels", NULL},
    {"fit", "fit datamodels to the models of a store", command_fit},
    {"gram", "count pairs of training examples once for all fits", command_gram},
    {"devices", "which devices can compute, and why others cannot", command_devices},
    {"ols", "fit by ordinary least squares, for comparison", command_ols},
    {"influence", "estimate influences by differences of means, as a fit", command_influence},
    {"import-fit", "take in the weights of another attribution method", command_import_fit},
    {"eval", "score fits on the models that they have held out", command_eval},
    {"compare", "how far two fits of the same targets agree", command_compare},
    {"fits", "list the fits of a store, or tell all of one", command_fits},
    {"export-fit", "write a fit's weights, biases and lambdas as .npy files", command_export_fit},
    {"merge-fits", "take in parts of fits from other hosts", command_merge_fits},
    {"rm-fit", "remove a fit", command_rm_fit},
    {NULL, "Asking datamodels", NULL},
    {"predict", "what the datamodels predict for subsets of the training set", command_predict},
    {"top", "the training examples that matter most to a target", command_top},
    {"leakage", "targets that may be in the training set, too", command_leakage},
    {"counterfactual", "what removing training examples does", command_counterfactual},
    {"support", "how few training examples predictions hang on", command_support},
    {"embed", "principal components of the targets' weights", command_embed},
    {"similar", "targets whose weights are most like those of a target", command_similar},
    {"cluster", "divide targets into clusters by their weights", command_cluster},
    {"select", "choose the training examples of the best or worst mean output", command_select},
    {"report", "write one page about a fit: its scores, figures and examples", command_report},
    {NULL, "Keeping", NULL},
    {"seal", "turn staged rows into chunks now", command_seal},
    {"rm", "remove models by id", command_rm},
    {"compact", "drop removed rows, join small chunks, change the codec", command_compact},
    {"warm", "decode a compressed store once for all its readers", command_warm},
    {"merge", "copy the models of other stores into one", command_merge},
    {"verify", "check every byte, name what is damaged", command_verify},
    {"recover", "rebuild the index from the chunk files alone", command_recover},
};

#define COMMAND_CT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *file)
{
    fputs("Usage: dmstore COMMAND [arguments]\n"
          "\n"
          "Keeps the training masks and the outputs of models that were trained on random\n"
          "subsets of one training set.\n",
          file);
    for (size_t i = 0; i < COMMAND_CT; i++) {
        if (commands[i].name)
            fprintf(file, "  %-14s %s\n", commands[i].name, commands[i].summary);
        else
            fprintf(file, "\n%s:\n", commands[i].summary);
    }
    fputs("\n'dmstore COMMAND --help' and dmstore-COMMAND(1) say more about one command.\n", file);
}

/* Levenshtein distance: how many letters must be added, taken away or changed. */
static size_t edit_distance(const char *first, const char *second)
{
    enum { LONGEST = 32 };
    size_t first_bytes = strlen(first), second_bytes = strlen(second);
    size_t row[LONGEST + 1];

    if (first_bytes > LONGEST || second_bytes > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= second_bytes; j++)
        row[j] = j;
    for (size_t i = 1; i <= first_bytes; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= second_bytes; j++) {
            size_t best = diagonal + (first[i - 1] != second[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[second_bytes];
}

static int fail_unknown_command(const char *name)
{
    const char *nearest = NULL;
    size_t nearest_distance = 3; /* what is further away is no slip of the finger */

    for (size_t i = 0; i < COMMAND_CT; i++) {
        size_t distance;

        if (!commands[i].name)
            continue;
        distance = edit_distance(name, commands[i].name);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            nearest = commands[i].name;
        }
    }
    fprintf(stderr, "dmstore: unknown command '%s'", name);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?\n", nearest);
    else
        fputs("; 'dmstore --help' lists the commands\n", stderr);
    return TOOL_USAGE;
}

static int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return TOOL_OK;
    perror("dmstore: cannot write to standard output");
    return TOOL_FAILED;
}

/* Lets freed memory of chunks be used again: to give it back to the system and get it page by page
 * once more for the next chunk is a quarter of the time of verify and ingest. */
static void keep_memory(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    keep_memory();
    map_guard_install();
    if (!name) {
        print_help(stderr);
        return TOOL_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return finish_output();
    }
    if (strcmp(name, "--version") == 0) {
        printf("dmstore %s\n", PACKAGE_VERSION);
        return finish_output();
    }
    for (size_t i = 0; i < COMMAND_CT; i++) {
        if (commands[i].name && strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return fail_unknown_command(name);
}
