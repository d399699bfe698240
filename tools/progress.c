/*
 * Draws the progress bar and catches the signals that ask a command to stop; see progress.h.
 */
#include "progress.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

#define REDRAW_NS 100000000u
#define BAR_CELLS 24

/* Read by all threads; lock-free, so that a signal handler may set it. */
static atomic_bool signal_came;

static void note_signal(int signal_number)
{
    (void)signal_number;
    atomic_store_explicit(&signal_came, true, memory_order_relaxed);
}

void interruption_catch(void)
{
    struct sigaction action = {.sa_handler = note_signal};

    sigemptyset(&action.sa_mask);
    /* Not SA_RESTART: a command that waits for input has to notice. The second signal kills, which
     * is safe at any moment. */
    action.sa_flags = SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interruption_came(void)
{
    return atomic_load_explicit(&signal_came, memory_order_relaxed);
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void progress_begin(struct progress *progress, const char *label, enum progress_unit unit)
{
    *progress = (struct progress){
        .label = label,
        .unit = unit,
        .drawing = isatty(STDERR_FILENO) == 1,
        .start_ns = monotonic_ns(),
    };
    interruption_catch();
}

static void print_amount(const struct progress *progress, uint64_t amount)
{
    char text[TOOL_HUMAN_BYTES];

    fputs(progress->unit == PROGRESS_BYTES ? tool_human_bytes(amount, text)
                                           : tool_human_count(amount, text),
          stderr);
}

static void draw(const struct progress *progress, uint64_t done, uint64_t total, uint64_t now_ns)
{
    double seconds = (double)(now_ns - progress->start_ns) / 1e9;
    double rate = seconds > 0 ? (double)(done - progress->first_done) / seconds : 0;
    char text[TOOL_HUMAN_BYTES];

    fprintf(stderr, "\r\033[K%s ", progress->label);
    if (total > 0) {
        double part = done < total ? (double)done / (double)total : 1;
        int filled = (int)(part * BAR_CELLS);

        fprintf(stderr, "[%.*s%*s] %3d%% ", filled, "########################", BAR_CELLS - filled,
                "", (int)(part * 100));
    }
    print_amount(progress, done);
    if (total > 0) {
        fputs(" of ", stderr);
        print_amount(progress, total);
    }
    if (progress->unit == PROGRESS_ROWS)
        fputs(" rows", stderr);
    if (rate > 0) {
        fputs(", ", stderr);
        print_amount(progress, (uint64_t)rate);
        fputs(progress->unit == PROGRESS_ROWS ? " rows/s" : "/s", stderr);
    }
    if (total > done && rate > 0) {
        uint64_t left = (uint64_t)((double)(total - done) / rate + 0.5);

        fprintf(stderr, ", %s left", tool_human_seconds(left, text));
    }
    fflush(stderr);
}

/* Whether it is time to draw again. */
static bool is_due(struct progress *progress, uint64_t now_ns)
{
    if (progress->drawn && now_ns - progress->last_drawn_ns < REDRAW_NS)
        return false;
    progress->drawn = true;
    progress->last_drawn_ns = now_ns;
    return true;
}

int progress_update(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    uint64_t now_ns;

    if (!progress->drawing)
        return interruption_came();
    now_ns = monotonic_ns();
    if (!progress->started || done < progress->first_done) {
        progress->first_done = done;
        progress->start_ns = now_ns;
        progress->started = true;
    }
    if (is_due(progress, now_ns))
        draw(progress, done, total, now_ns);
    return interruption_came();
}

int progress_show(struct progress *progress, const char *text)
{
    if (progress->drawing && is_due(progress, monotonic_ns())) {
        fprintf(stderr, "\r\033[K%s %s", progress->label, text);
        fflush(stderr);
    }
    return interruption_came();
}

int progress_show_targets(void *progress, uint64_t done, uint64_t total)
{
    char text[100], done_text[TOOL_HUMAN_BYTES], total_text[TOOL_HUMAN_BYTES];

    snprintf(text, sizeof(text), "%s of %s targets", tool_human_count(done, done_text),
             tool_human_count(total, total_text));
    return progress_show(progress, text);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
