/*
 * The command line of one command, declared as a table from which both the parser and --help are
 * made. Names may be given in any order with the positional arguments; "--" ends the options.
 *
 *     bool json = false;
 *     const char *output = NULL;
 *     const struct tool_option options[] = {
 *         OPTION_TEXT("output", 'o', "FILE", &output, "where the manifest goes"),
 *         OPTION_FLAG("json", 0, &json, "print the report as JSON"),
 *         OPTION_END,
 *     };
 *     const struct tool_usage usage = {
 *         .command = "snapshot", .synopsis = "STORE -o FILE", .description = "...\n",
 *         .positional_min = 1, .positional_max = 1, .options = options,
 *     };
 *     int status = tool_options_parse(&usage, argc, argv, &positionals, &positional_ct);
 *     if (status != TOOL_CONTINUE)
 *         return status;
 */
#ifndef DMSTORE_TOOLS_OPTIONS_H
#define DMSTORE_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"

/* The texts of an option that may be repeated, in the order given; they point into argv. */
struct tool_list {
    const char **items;
    size_t item_ct;
};

void tool_list_free(struct tool_list *list);

enum tool_option_kind {
    TOOL_OPTION_FLAG,    /* no argument: sets true */
    TOOL_OPTION_TEXT,    /* any text */
    TOOL_OPTION_LIST,    /* any text, may be repeated */
    TOOL_OPTION_COUNT,   /* a number; K, M, G are powers of 1000 */
    TOOL_OPTION_BYTES,   /* a number of bytes; K, M, G are powers of 1024 */
    TOOL_OPTION_THREADS, /* a number of threads */
    TOOL_OPTION_CHOICE,  /* one of a few words */
};

struct tool_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum tool_option_kind kind;
    const char *argument; /* how --help calls the argument */
    const char *help;     /* one sentence without a full stop; wrapped by --help */
    union {
        bool *flag;
        const char **text;
        struct tool_list *list;
        uint64_t *number;
        unsigned *threads;
        int *choice; /* index in `choices` */
    } value;
    bool *given;                /* NULL, or set when the option is there */
    const char *const *choices; /* ended by NULL */
};

/* Entries of a table. `given` may be NULL. The values keep their defaults when not given. */
#define OPTION_FLAG(name_, letter_, flag_, help_)                                        \
    {                                                                                    \
        .name = (name_), .letter = (letter_), .kind = TOOL_OPTION_FLAG, .help = (help_), \
        .value.flag = (flag_)                                                            \
    }
#define OPTION_TEXT(name_, letter_, argument_, text_, help_)                                     \
    {                                                                                            \
        .name = (name_), .letter = (letter_), .kind = TOOL_OPTION_TEXT, .argument = (argument_), \
        .help = (help_), .value.text = (text_)                                                   \
    }
#define OPTION_LIST(name_, letter_, argument_, list_, help_)                                     \
    {                                                                                            \
        .name = (name_), .letter = (letter_), .kind = TOOL_OPTION_LIST, .argument = (argument_), \
        .help = (help_), .value.list = (list_)                                                   \
    }
#define OPTION_COUNT(name_, letter_, argument_, number_, given_, help_)                           \
    {                                                                                             \
        .name = (name_), .letter = (letter_), .kind = TOOL_OPTION_COUNT, .argument = (argument_), \
        .help = (help_), .value.number = (number_), .given = (given_)                             \
    }
#define OPTION_BYTES(name_, letter_, argument_, number_, given_, help_)                           \
    {                                                                                             \
        .name = (name_), .letter = (letter_), .kind = TOOL_OPTION_BYTES, .argument = (argument_), \
        .help = (help_), .value.number = (number_), .given = (given_)                             \
    }
#define OPTION_THREADS(threads_, help_)                                                   \
    {                                                                                     \
        .name = "threads", .kind = TOOL_OPTION_THREADS, .argument = "N", .help = (help_), \
        .value.threads = (threads_)                                                       \
    }
#define OPTION_CHOICE(name_, letter_, argument_, choice_, choices_, help_)                         \
    {                                                                                              \
        .name = (name_), .letter = (letter_), .kind = TOOL_OPTION_CHOICE, .argument = (argument_), \
        .help = (help_), .value.choice = (choice_), .choices = (choices_)                          \
    }
#define OPTION_END   \
    {                \
        .name = NULL \
    }

struct tool_usage {
    const char *command;  /* "ingest" */
    const char *synopsis; /* what follows the command's name, e.g. "STORE --masks FILE [options]" */
    const char *description; /* wrapped by hand at 80 columns; every line ends in a newline */
    size_t positional_min;
    size_t positional_max;
    const struct tool_option *options;
};

/* What tool_options_parse returns when the command shall go on. */
#define TOOL_CONTINUE (-1)

/* Parses argv. Returns TOOL_CONTINUE with *positionals (into argv, which is reordered) and
 * *positional_ct set; TOOL_OK after --help was printed; TOOL_USAGE after an error was. An option
 * that is not a list may be given once. Lists are the caller's to free in every case. */
int tool_options_parse(const struct tool_usage *usage, int argc, char **argv, char ***positionals,
                       size_t *positional_ct);

/* Parses the whole of `text` as a decimal number in 0 .. 2^64 - 1, with one suffix K, M or G
 * (powers of `unit`, 1000 or 1024) when unit is not 0. Returns false when it is something else. */
bool tool_parse_number(const char *text, uint64_t unit, uint64_t *value);

/* Parses the whole of `text` as a finite number. */
bool tool_parse_real(const char *text, double *value);

/* The words of --on-duplicate, in the order of enum dms_on_duplicate. */
extern const char *const tool_on_duplicate_words[];

/* The words of --transform, in the order of enum dms_transform. */
extern const char *const tool_transform_words[];

/* Sets what of a column `fit` is about from --transform (the number of its word, -1: not given) and
 * --threshold (NULL: not given), which implies correctness. Returns TOOL_CONTINUE, or what to exit
 * with when they are no pair. */
struct dms_fit_options;
int tool_interpret_transform(const char *command, int word, const char *threshold,
                             struct dms_fit_options *fit);

/* Checks the -o FILE (or NULL) of a command that writes a table as CSV, and that prints JSON
 * instead of its report when as_json: TOOL_CONTINUE, or TOOL_USAGE after an error was printed. */
int tool_check_csv(const char *command, const char *path, bool as_json);

/* Splits "NAME=VALUE" at the first '='. Returns the value and sets *name_bytes, or NULL. */
const char *tool_split_assignment(const char *text, size_t *name_bytes);

#endif
