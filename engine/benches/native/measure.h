/* What the measuring programs have in common: a clock, a processor, and what is said in the end.
 *
 * usage: PROGRAM ROLE ADDRESS SIZE SECONDS CPU
 *
 * pull and rep listen at ADDRESS and say so; push and req dial it. pull says how many messages a second arrived, req how long
 * its round trips took, in nanoseconds, and how many processor seconds they cost. ROLE `threads` is push and pull in one
 * process, where a library has that. The one that has said its figure ends; the other is killed. */
#ifndef MEASURE_H
#define MEASURE_H

#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WARM_UP 0.3
#define MOST_SAMPLES 4000000

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void pin(const char *cpu) {
    cpu_set_t set;
    if (strcmp(cpu, "-") == 0) return;
    CPU_ZERO(&set);
    CPU_SET(atoi(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set)) fail("sched_setaffinity", "no such processor");
}

static void say_ready(void) {
    puts("ready");
    fflush(stdout);
}

/* Calls `receive` for the seconds of a window and says how many a second there were. */
static void count(void (*receive)(void), double seconds) {
    double began, took;
    long messages = 0;
    receive();
    for (began = now(); now() - began < WARM_UP;)
        for (int i = 0; i < 100; i++) receive();
    began = now();
    do {
        for (int i = 0; i < 100; i++) receive();
        messages += 100;
    } while ((took = now() - began) < seconds);
    printf("{\"rate\": %.0f}\n", messages / took);
    exit(0);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Calls `ask` for the seconds of a window and says how long it took. */
static void time_each(void (*ask)(void), double seconds) {
    uint32_t *took = malloc(MOST_SAMPLES * sizeof *took);
    size_t samples = 0;
    double began;
    for (began = now(); now() - began < WARM_UP;) ask();
    began = now();
    do {
        double before = now();
        ask();
        took[samples++] = (uint32_t)((now() - before) * 1e9);
    } while (now() - began < seconds && samples < MOST_SAMPLES);
    qsort(took, samples, sizeof *took, ascending);
    printf("{\"p50_ns\": %u, \"p99_ns\": %u}\n", took[samples / 2], took[samples * 99 / 100]);
    exit(0);
}

#endif
