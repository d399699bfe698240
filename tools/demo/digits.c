/*
 * digits: a training farm in one small program, for the quickstart. It trains real models on random
 * subsets of real images, appends their margins to a store as a worker of a farm does, and draws
 * what the fitted datamodels say about the images. README.md is about the images.
 */
#include <stdio.h>
#include <string.h>

#include "demo.h"
#include "report.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"train", command_train, "train models on subsets of the images, append them to a store"},
    {"show", command_show, "draw the images that help and harm a target most, by a fit"},
    {"files", command_files, "write images, labels and names as files for reports"},
};

#define COMMAND_CT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *file)
{
    fputs("Usage: digits COMMAND [arguments]\n\n"
          "A demonstration of dmstore on handwritten digits.\n\nCommands:\n",
          file);
    for (size_t i = 0; i < COMMAND_CT; i++)
        fprintf(file, "  %-8s%s\n", commands[i].name, commands[i].help);
    fputs("\n'digits COMMAND --help' tells more about one of them.\n", file);
}

int main(int argc, char **argv)
{
    tool_program_name = "digits";
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return TOOL_OK;
    }
    for (size_t i = 0; argc > 1 && i < COMMAND_CT; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    print_help(stderr);
    return TOOL_USAGE;
}
