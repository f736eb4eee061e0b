/* The clock, the start line and the words that a measuring program says to its runner. */
#ifndef COMMON_H
#define COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void die_of(const char *what)
{
	perror(what);
	exit(1);
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void wait_for_end_of_input(void)
{
	char byte;
	while (read(0, &byte, 1) > 0)
		;
}

static uint64_t start_line(void)
{
	say("ready");
	wait_for_end_of_input();
	return now_ns();
}

static void say_times(uint64_t begin, uint64_t operations)
{
	uint64_t end = now_ns();
	printf("begin=%" PRIu64 " end=%" PRIu64 " operations=%" PRIu64, begin, end, operations);
}

static int is(const char *verb, const char *name)
{
	return strcmp(verb, name) == 0;
}

#endif
