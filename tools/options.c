/*
 * Parses a command's arguments with getopt_long as its option table says, and prints the help that
 * the same table makes; see options.h.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "npy_file.h"

#define HELP_COLUMN 28
#define HELP_WIDTH 80

/* Values that getopt_long returns for long options: beyond every letter. */
#define FIRST_LONG_CODE 256

const char *const tool_on_duplicate_words[] = {"error", "keep", "replace", NULL};

const char *const tool_transform_words[] = {"none", "margin", "correct", NULL};

int tool_interpret_transform(const char *command, int word, const char *threshold,
                             struct dms_fit_options *fit)
{
    if (threshold && !tool_parse_real(threshold, &fit->threshold))
        return tool_fail_usage(command, "--threshold: '%s' is no number", threshold);
    if (threshold && word >= 0 && word != DMS_TRANSFORM_CORRECT)
        return tool_fail_usage(command,
                               "--threshold is about correctness, and --transform %s is not",
                               tool_transform_words[word]);
    if (threshold)
        fit->transform = DMS_TRANSFORM_CORRECT;
    else if (word >= 0)
        fit->transform = (enum dms_transform)word;
    return TOOL_CONTINUE;
}

void tool_list_free(struct tool_list *list)
{
    free(list->items);
    list->items = NULL;
    list->item_ct = 0;
}

static bool list_append(struct tool_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->item_ct + 1) * sizeof(*items));

    if (!items)
        return false;
    list->items = items;
    list->items[list->item_ct++] = text;
    return true;
}

bool tool_parse_number(const char *text, uint64_t unit, uint64_t *value)
{
    uint64_t number = 0, factor = 1;
    const char *end = text;

    for (; isdigit((unsigned char)*end); end++) {
        unsigned digit = (unsigned)(*end - '0');

        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (end == text)
        return false;
    if (*end && unit) {
        const char *suffix = strchr("KMG", toupper((unsigned char)*end++));

        if (!suffix)
            return false;
        for (int power = (int)(suffix - "KMG"); power >= 0; power--)
            factor *= unit;
    }
    if (*end || number > UINT64_MAX / factor)
        return false;
    *value = number * factor;
    return true;
}

bool tool_parse_real(const char *text, double *value)
{
    char *end;

    errno = 0;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && errno == 0 && isfinite(*value);
}

const char *tool_split_assignment(const char *text, size_t *name_bytes)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text || !equals[1])
        return NULL;
    *name_bytes = (size_t)(equals - text);
    return equals + 1;
}

/* ---- help ---- */

/* Prints words from HELP_COLUMN on, wrapped; `column` is where the cursor stands. */
static void print_wrapped(const char *text, int column)
{
    bool line_is_empty = column <= HELP_COLUMN;

    if (column > HELP_COLUMN - 2) {
        putchar('\n');
        column = 0;
        line_is_empty = true;
    }
    column += printf("%*s", HELP_COLUMN - column, "");
    while (*text) {
        int word = (int)strcspn(text, " ");

        if (!line_is_empty && column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
            line_is_empty = true;
        }
        column += printf("%s%.*s", line_is_empty ? "" : " ", word, text);
        line_is_empty = false;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const struct tool_option *option)
{
    int column = option->letter ? printf("  -%c, ", option->letter) : printf("      ");

    column += printf("--%s", option->name);
    if (option->argument)
        column += printf(" %s", option->argument);
    print_wrapped(option->help, column);
}

static void print_help(const struct tool_usage *usage)
{
    const struct tool_option help = OPTION_FLAG("help", 0, NULL, "print this text");

    printf("Usage: %s %s %s\n\n%s\nOptions:\n", tool_program_name, usage->command, usage->synopsis,
           usage->description);
    for (const struct tool_option *option = usage->options; option->name; option++)
        print_option(option);
    print_option(&help);
}

/* ---- parsing ---- */

static int fail_value(const struct tool_usage *usage, const struct tool_option *option,
                      const char *text, const char *wanted)
{
    return tool_fail_usage(usage->command, "--%s: '%s' is not %s", option->name, text, wanted);
}

static int set_choice(const struct tool_usage *usage, const struct tool_option *option,
                      const char *text)
{
    char wanted[160] = "one of";

    for (int i = 0; option->choices[i]; i++) {
        size_t used = strlen(wanted);

        if (strcmp(option->choices[i], text) == 0) {
            *option->value.choice = i;
            return TOOL_CONTINUE;
        }
        snprintf(wanted + used, sizeof(wanted) - used, "%s %s", i > 0 ? "," : "",
                 option->choices[i]);
    }
    return fail_value(usage, option, text, wanted);
}

static int set_threads(const struct tool_usage *usage, const struct tool_option *option,
                       const char *text)
{
    uint64_t number;

    if (!tool_parse_number(text, 0, &number))
        return fail_value(usage, option, text, "a number of threads");
    if (number > UINT_MAX)
        return tool_fail_usage(usage->command, "--%s: at most %u threads", option->name, UINT_MAX);
    *option->value.threads = (unsigned)number;
    return TOOL_CONTINUE;
}

static int set_value(const struct tool_usage *usage, const struct tool_option *option,
                     const char *text)
{
    switch (option->kind) {
    case TOOL_OPTION_FLAG:
        *option->value.flag = true;
        break;
    case TOOL_OPTION_TEXT:
        *option->value.text = text;
        break;
    case TOOL_OPTION_LIST:
        if (!list_append(option->value.list, text))
            return tool_fail(usage->command, "out of memory");
        break;
    case TOOL_OPTION_COUNT:
        if (!tool_parse_number(text, 1000, option->value.number))
            return fail_value(usage, option, text,
                              "a number from 0 to 2^64 - 1 (K, M and G stand for powers of 1000)");
        break;
    case TOOL_OPTION_BYTES:
        if (!tool_parse_number(text, 1024, option->value.number))
            return fail_value(usage, option, text,
                              "a number of bytes (K, M and G stand for powers of 1024)");
        break;
    case TOOL_OPTION_THREADS:
        return set_threads(usage, option, text);
    case TOOL_OPTION_CHOICE:
        return set_choice(usage, option, text);
    }
    return TOOL_CONTINUE;
}

/* What getopt_long needs, made from a table. */
struct getopt_table {
    struct option *long_options; /* those of the table in order, then help, then the end */
    char *letters;
    bool *seen;
    size_t option_ct;
};

static void getopt_table_free(struct getopt_table *table)
{
    free(table->long_options);
    free(table->letters);
    free(table->seen);
}

static bool getopt_table_make(const struct tool_option *options, struct getopt_table *table)
{
    size_t option_ct = 0;
    char *letter;

    while (options[option_ct].name)
        option_ct++;
    *table = (struct getopt_table){
        .long_options = calloc(option_ct + 2, sizeof(struct option)),
        .letters = calloc(2 + 2 * option_ct, 1),
        .seen = calloc(option_ct + 1, sizeof(bool)),
        .option_ct = option_ct,
    };
    if (!table->long_options || !table->letters || !table->seen)
        return false;
    letter = table->letters;
    *letter++ = ':'; /* missing arguments come back as ':' */
    for (size_t i = 0; i < option_ct; i++) {
        int has_argument = options[i].kind == TOOL_OPTION_FLAG ? no_argument : required_argument;

        table->long_options[i] = (struct option){
            .name = options[i].name, .has_arg = has_argument, .val = FIRST_LONG_CODE + (int)i};
        if (options[i].letter)
            *letter++ = options[i].letter;
        if (options[i].letter && has_argument)
            *letter++ = ':';
    }
    table->long_options[option_ct] =
        (struct option){.name = "help", .val = FIRST_LONG_CODE + (int)option_ct};
    return true;
}

/* The position in the table of what getopt_long returned; option_ct for --help. */
static size_t option_of_code(const struct tool_option *options, size_t option_ct, int code)
{
    size_t i = 0;

    if (code >= FIRST_LONG_CODE)
        return (size_t)(code - FIRST_LONG_CODE);
    while (i < option_ct && options[i].letter != code)
        i++;
    return i;
}

static int fail_unknown_option(const struct tool_usage *usage, char **argv)
{
    /* For a letter optopt names it, and the element of argv may be one still being read. */
    if (optopt > 0 && optopt < FIRST_LONG_CODE)
        return tool_fail_usage(usage->command, "unknown option '-%c'", optopt);
    if (optopt >= FIRST_LONG_CODE)
        return tool_fail_usage(usage->command, "option '%s' takes no argument", argv[optind - 1]);
    return tool_fail_usage(usage->command, "unknown option '%s'", argv[optind - 1]);
}

static int parse_options(const struct tool_usage *usage, const struct getopt_table *table, int argc,
                         char **argv)
{
    int code;

    optind = 0; /* glibc: start anew, also after another command of this process */
    opterr = 0;
    while ((code = getopt_long(argc, argv, table->letters, table->long_options, NULL)) != -1) {
        const struct tool_option *option;
        size_t index;
        int status;

        if (code == '?')
            return fail_unknown_option(usage, argv);
        if (code == ':')
            return tool_fail_usage(usage->command, "option '%s' needs an argument",
                                   argv[optind - 1]);
        index = option_of_code(usage->options, table->option_ct, code);
        if (index == table->option_ct) {
            print_help(usage);
            return tool_finish_output(usage->command, TOOL_OK);
        }
        option = &usage->options[index];
        if (table->seen[index] && option->kind != TOOL_OPTION_LIST &&
            option->kind != TOOL_OPTION_FLAG)
            return tool_fail_usage(usage->command, "--%s was given twice", option->name);
        status = set_value(usage, option, optarg);
        if (status != TOOL_CONTINUE)
            return status;
        table->seen[index] = true;
        if (option->given)
            *option->given = true;
    }
    return TOOL_CONTINUE;
}

int tool_options_parse(const struct tool_usage *usage, int argc, char **argv, char ***positionals,
                       size_t *positional_ct)
{
    struct getopt_table table;
    size_t count;
    int status;

    if (!getopt_table_make(usage->options, &table)) {
        status = tool_fail(usage->command, "out of memory");
        goto out;
    }
    status = parse_options(usage, &table, argc, argv);
    if (status != TOOL_CONTINUE)
        goto out;
    count = (size_t)(argc - optind);
    if (count < usage->positional_min) {
        status = tool_fail_usage(usage->command, "an argument is missing: %s %s %s",
                                 tool_program_name, usage->command, usage->synopsis);
        goto out;
    }
    if (count > usage->positional_max) {
        status = tool_fail_usage(usage->command, "argument '%s' is one too many",
                                 argv[(size_t)optind + usage->positional_max]);
        goto out;
    }
    if (positionals)
        *positionals = argv + optind;
    if (positional_ct)
        *positional_ct = count;
out:
    getopt_table_free(&table);
    return status;
}

int tool_check_csv(const char *command, const char *path, bool as_json)
{
    if (!path)
        return TOOL_CONTINUE;
    if (as_json && strcmp(path, "-") == 0)
        return tool_fail_usage(command, "--json and -o - cannot both be printed");
    if (npy_is_path(path))
        return tool_fail_usage(command, "'%s': what is written is a table, as CSV", path);
    return TOOL_CONTINUE;
}
