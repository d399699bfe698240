/*
 * Work in other processes: see process.h.
 */
#include "tests/bench/process.h"

#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 5 };

extern char **environ;

uint64_t bench_process_bytes(int pid, const char *field)
{
    char line[256];
    char path[64];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && kib == 0 && fgets(line, sizeof line, file)) {
        if (strncmp(line, field, strlen(field)) == 0) {
            sscanf(line + strlen(field), "%llu", &kib);
        }
    }
    if (file) {
        fclose(file);
    }
    return (uint64_t)kib << 10;
}

/* Looks at the memory of a process until it ends. */
static void watch(pid_t pid, struct bench_process *process)
{
    int descriptor = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd ended = {.fd = descriptor, .events = POLLIN};
    if (descriptor < 0) {
        bench_die("pidfd_open: %s", strerror(errno));
    }
    while (poll(&ended, 1, LOOK_MS) == 0) {
        uint64_t bytes = bench_process_bytes(pid, "RssAnon:");
        if (bytes > process->anonymous_bytes) {
            process->anonymous_bytes = bytes;
        }
    }
    close(descriptor);
}

void bench_run(const char *const *command, struct bench_process *process)
{
    posix_spawn_file_actions_t actions;
    struct bench_process seen = {0};
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    double start = bench_now();
    int code = posix_spawnp(&pid, command[0], &actions, NULL, (char *const *)command, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code != 0) {
        bench_die("cannot run '%s': %s", command[0], strerror(code));
    }
    if (process) {
        watch(pid, &seen);
    }
    struct rusage used;
    while (wait4(pid, &status, 0, &used) < 0 && errno == EINTR) {
    }
    seen.seconds = bench_now() - start;
    seen.processor_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                             1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        bench_die("'%s %s' failed (status 0x%x)", command[0], command[1] ? command[1] : "", status);
    }
    if (process) {
        *process = seen;
    }
}

void bench_in_child(void (*work)(const void *context, double *results), const void *context,
                    double *results, size_t result_ct)
{
    int ends[2];
    int status = 0;
    size_t result_bytes = result_ct * sizeof *results;
    fflush(stdout);
    if (pipe(ends) != 0) {
        bench_die("pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        work(context, results);
        bool is_sent = write(ends[1], results, result_bytes) == (ssize_t)result_bytes;
        _exit(is_sent ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(ends[1]);
    bool is_received = pid > 0 && read(ends[0], results, result_bytes) == (ssize_t)result_bytes;
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 || !is_received) {
        bench_die("a child process failed");
    }
}
