/*
 * Pairs that tell how a fit came about; see provenance.h.
 */
#include "provenance.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void provenance_say(struct provenance *provenance, const char *key, const char *format, ...)
{
    size_t i = provenance->pair_ct++;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(provenance->texts[i], sizeof(provenance->texts[i]), format, arguments);
    va_end(arguments);
    provenance->pairs[i] = (struct dms_metadata){.key = key, .value = provenance->texts[i]};
}

static void say_time(struct provenance *provenance, const char *key, time_t when)
{
    char text[32];
    struct tm parts;

    gmtime_r(&when, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    provenance_say(provenance, key, "%s", text);
}

void provenance_say_job(struct provenance *provenance, const char *command_line, time_t started)
{
    char host[128] = "";

    gethostname(host, sizeof(host) - 1);
    provenance_say(provenance, "version", "%s", PACKAGE_VERSION);
    provenance_say(provenance, "command", "dmstore %s", command_line);
    provenance_say(provenance, "host", "%s", host);
    say_time(provenance, "started", started);
    say_time(provenance, "ended", time(NULL));
}

char *provenance_command_line(int argc, char **argv)
{
    size_t bytes = 1, used = 0;
    char *text;

    for (int i = 0; i < argc; i++)
        bytes += strlen(argv[i]) + 1;
    text = malloc(bytes);
    for (int i = 0; text && i < argc; i++)
        used += (size_t)sprintf(text + used, "%s%s", i > 0 ? " " : "", argv[i]);
    return text;
}
