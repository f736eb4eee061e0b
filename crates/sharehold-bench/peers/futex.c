/* The 3-state futex mutex of "Futexes Are Tricky": 0 free, 1 held, 2 held and somebody may sleep. It knows no owner, so
 * a holder's death keeps it for ever. With -DYIELDS=n it gives its processor away n times before it sleeps. */
#include "harness.h"
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>

#ifndef YIELDS
#define YIELDS 0
#endif

static uint32_t *word;

static void peer_make(const char *path) { word = (uint32_t *)map_page(path, 1); }
static void peer_join(const char *path) { word = (uint32_t *)map_page(path, 0); }
static void peer_unmake(const char *path) { unlink(path); }

static int take(uint32_t to)
{
	uint32_t free = 0;
	return __atomic_compare_exchange_n(word, &free, to, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) void wait_for_it(void)
{
	for (int i = 0; i < YIELDS; i++) {
		sched_yield();
		if (take(1))
			return;
	}
	while (__atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) != 0)
		syscall(SYS_futex, word, FUTEX_WAIT, 2, NULL, NULL, 0);
}

static inline void peer_acquire(void)
{
	if (__builtin_expect(!take(1), 0))
		wait_for_it();
}

static inline void peer_release(void)
{
	if (__builtin_expect(__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2, 0))
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
