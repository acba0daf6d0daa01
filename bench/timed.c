/*
 * timed OUTPUT SECONDS COMMAND [ARGUMENT...]: runs a command and appends one line to OUTPUT:
 *
 *   exit status, wall seconds, user seconds, system seconds, largest resident set in KiB, CPU seconds of the machine
 *
 * User, system and resident set count the command and every descendant that was waited for (wait4); a JVM behind a
 * launcher script is one. The resident set is that of the largest single process, not a sum. A small C program is
 * used so that the number is not the shell's: a child starts with the resident set of the process it was forked from.
 * After SECONDS, or when interrupted, the command and its process group get SIGTERM, 20 seconds later SIGKILL; the
 * status is then 124.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;
static volatile sig_atomic_t expired;

/* The command has a process group of its own: an interrupt from the terminal reaches it only through here. */
static void stop(int signal)
{
    (void) signal;
    kill(-child, expired ? SIGKILL : SIGTERM);
    expired = 1;
    alarm(20);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* All CPU time since boot but idle and waiting for I/O, kernel threads such as the loop driver's included. */
static double machine_cpu(void)
{
    unsigned long long user = 0, nice = 0, system = 0, idle, wait, irq = 0, softirq = 0;
    FILE *stat = fopen("/proc/stat", "r");
    if (!stat || fscanf(stat, "cpu %llu %llu %llu %llu %llu %llu %llu",
        &user, &nice, &system, &idle, &wait, &irq, &softirq) != 7) {
        perror("/proc/stat");
        exit(125);
    }
    fclose(stat);
    return (double) (user + nice + system + irq + softirq) / (double) sysconf(_SC_CLK_TCK);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: timed OUTPUT SECONDS COMMAND [ARGUMENT...]\n");
        return 2;
    }
    FILE *output = fopen(argv[1], "ae");
    if (!output) {
        perror(argv[1]);
        return 125;
    }
    double cpu = machine_cpu(), begin = seconds();
    child = fork();
    if (child == 0) {
        setpgid(0, 0);
        execvp(argv[3], argv + 3);
        fprintf(stderr, "timed: %s: %s\n", argv[3], strerror(errno));
        _exit(127);
    }
    if (child < 0) {
        perror("fork");
        return 125;
    }
    setpgid(child, child);
    struct sigaction action = { .sa_handler = stop };
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    alarm((unsigned) atoi(argv[2]));
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR) {
            perror("wait4");
            return 125;
        }
    double wall = seconds() - begin;
    alarm(0);
    int code = expired ? 124 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(output, "%d\t%.3f\t%.3f\t%.3f\t%ld\t%.2f\n", code, wall,
        (double) usage.ru_utime.tv_sec + (double) usage.ru_utime.tv_usec / 1e6,
        (double) usage.ru_stime.tv_sec + (double) usage.ru_stime.tv_usec / 1e6, usage.ru_maxrss, machine_cpu() - cpu);
    return code;
}
