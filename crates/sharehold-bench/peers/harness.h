/* What all peer programs have in common: the verbs, the start line and the clock.
 *
 * A peer includes this file after it has defined what a lock is:
 *
 *   static void peer_make(const char *path);    makes what the processes share, once
 *   static void peer_unmake(const char *path);  removes it
 *   static void peer_join(const char *path);    in each process; sets `value`
 *   static inline void peer_acquire(void);
 *   static inline void peer_release(void);
 *
 * and is run as `peer VERB PATH [NUMBER [SECOND]]`. A process that measures says "ready", waits for the end of its standard
 * input, which all of them share, and at the end says name=number in one line. The same verbs are in src/harness.rs.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "common.h"

/* The counted number. It never shares a cache line with the lock. */
static volatile uint64_t *value;

/* What may be said behind the number: which of its locks a process uses. */
static uint64_t second;

/* Maps the page at `path`: the lock is at its beginning, the value 256 bytes behind. */
static inline void *map_page(const char *path, int make)
{
	int file = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
	if (file < 0 || (make && ftruncate(file, 4096) != 0))
		die_of(path);
	char *page = (char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (page == MAP_FAILED)
		die_of("mmap");
	close(file);
	value = (volatile uint64_t *)(page + 256);
	return page;
}

#ifndef PEER_NO_LOCK
static inline void peer_acquire(void);
static inline void peer_release(void);
#endif
static void peer_make(const char *path);
static void peer_unmake(const char *path);
static void peer_join(const char *path);

#ifndef PEER_NO_LOCK
/* A histogram of durations: 16 buckets for each power of two. */
static uint64_t buckets[1024], longest;

static void record(uint64_t ns)
{
	unsigned exponent, bucket = (unsigned)ns;
	if (ns >= 16) {
		exponent = 63u - (unsigned)__builtin_clzll(ns);
		bucket = (exponent - 3) * 16 + ((ns >> (exponent - 4)) & 15);
	}
	buckets[bucket]++;
	if (ns > longest)
		longest = ns;
}

static void say_histogram(void)
{
	printf(" longest=%" PRIu64 " waits=", longest);
	for (unsigned bucket = 0; bucket < 1024; bucket++)
		if (buckets[bucket])
			printf("%u:%" PRIu64 ",", bucket, buckets[bucket]);
}

static void sleep_ns(uint64_t ns)
{
	struct timespec pause = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	nanosleep(&pause, NULL);
}

#endif

/* Adds one to the value under the lock, or without a lock if the peer can. */
#ifndef PEER_INCREMENT
#define PEER_INCREMENT() (peer_acquire(), *value = *value + 1, peer_release())
#endif

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: %s VERB PATH [NUMBER]\n", argv[0]);
		return 2;
	}
	const char *verb = argv[1], *path = argv[2];
	uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	second = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	if (is(verb, "make")) {
		peer_make(path);
		*value = 0;
		return 0;
	}
	if (is(verb, "unmake")) {
		peer_unmake(path);
		return 0;
	}
	if (!is(verb, "life"))
		peer_join(path);
	if (is(verb, "value")) {
		printf("value=%" PRIu64 "\n", *value);
	} else if (is(verb, "count")) {
		uint64_t begin = start_line();
		for (uint64_t i = 0; i < number; i++)
			PEER_INCREMENT();
		say_times(begin, number);
		say("");
#ifndef PEER_NO_LOCK
	} else if (is(verb, "pass")) {
		uint64_t begin = start_line();
		for (uint64_t i = 0; i < number; i++) {
			peer_acquire();
			peer_release();
		}
		say_times(begin, number);
		say("");
	} else if (is(verb, "wait")) {
		/* Hammers for NUMBER nanoseconds and times each wait for the lock. */
		uint64_t begin = start_line(), before = begin, operations = 0;
		while (before - begin < number) {
			before = now_ns();
			peer_acquire();
			record(now_ns() - before);
			*value = *value + 1;
			peer_release();
			operations++;
		}
		say_times(begin, operations);
		say_histogram();
		say("");
	} else if (is(verb, "hold")) {
		/* Holds the lock until killed, or until the end of input. */
		peer_acquire();
		say("held");
		wait_for_end_of_input();
		peer_release();
	} else if (is(verb, "regain")) {
		/* For each line of input, locks and says when it had the lock. */
		char line[64];
		while (fgets(line, sizeof line, stdin)) {
			say("waiting");
			peer_acquire();
			printf("got=%" PRIu64 "\n", now_ns());
			fflush(stdout);
			peer_release();
		}
	} else if (is(verb, "give")) {
		/* Unlocks at stamped times, NUMBER times, while the taker sleeps. */
		start_line();
		for (uint64_t i = 0; i < number; i++) {
			peer_acquire();
			sleep_ns(500000 + i * 7919 % 500000);
			*value = now_ns();
			peer_release();
			sleep_ns(300000);
		}
	} else if (is(verb, "take")) {
		/* Times NUMBER wake-ups: from the giver's stamp until this one has the lock. */
		uint64_t begin = start_line(), last = 0, taken = 0;
		while (taken < number) {
			peer_acquire();
			uint64_t stamp = *value, now = now_ns();
			peer_release();
			if (stamp != last) {
				record(now - stamp);
				taken++;
			}
			last = stamp;
			sleep_ns(100000);
		}
		say_times(begin, taken);
		say_histogram();
		say("");
	} else if (is(verb, "idle")) {
		/* Says how much processor time one long wait takes. */
		uint64_t begin = start_line(), before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		peer_acquire();
		uint64_t used = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
		peer_release();
		say_times(begin, 1);
		printf(" processor=%" PRIu64 "\n", used);
		fflush(stdout);
#endif
#ifdef PEER_LIFE
	} else if (is(verb, "life")) {
		/* Creates, attaches, detaches and destroys NUMBER times. */
		peer_life(path, number);
#endif
	} else {
		fprintf(stderr, "%s does not know %s\n", argv[0], verb);
		return 2;
	}
	return 0;
}

#endif
