/* The C library's read-write lock, process-shared: to read, and where the second number is 1, to write. */
#include "harness.h"
#include <pthread.h>

static pthread_rwlock_t *lock;

static void peer_make(const char *path)
{
	pthread_rwlockattr_t how;
	lock = (pthread_rwlock_t *)map_page(path, 1);
	pthread_rwlockattr_init(&how);
	pthread_rwlockattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
	if (pthread_rwlock_init(lock, &how) != 0)
		die_of("pthread_rwlock_init");
}

static void peer_join(const char *path) { lock = (pthread_rwlock_t *)map_page(path, 0); }
static void peer_unmake(const char *path) { unlink(path); }

static inline void peer_acquire(void)
{
	if ((second ? pthread_rwlock_wrlock(lock) : pthread_rwlock_rdlock(lock)) != 0)
		die_of("pthread_rwlock");
}

static inline void peer_release(void) { pthread_rwlock_unlock(lock); }
