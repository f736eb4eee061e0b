/* A POSIX semaphore in shared memory, used as a mutex. */
#include "harness.h"
#include <errno.h>
#include <semaphore.h>

static sem_t *semaphore;

static void peer_make(const char *path)
{
	semaphore = (sem_t *)map_page(path, 1);
	if (sem_init(semaphore, 1, 1) != 0)
		die_of("sem_init");
}

static void peer_join(const char *path) { semaphore = (sem_t *)map_page(path, 0); }
static void peer_unmake(const char *path) { unlink(path); }

static inline void peer_acquire(void)
{
	while (sem_wait(semaphore) != 0)
		if (errno != EINTR)
			die_of("sem_wait");
}

static inline void peer_release(void) { sem_post(semaphore); }
