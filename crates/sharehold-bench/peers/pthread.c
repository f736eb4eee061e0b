/* The C library's mutex, process-shared; with -DROBUST also robust. */
#include "harness.h"
#include <errno.h>
#include <pthread.h>

static pthread_mutex_t *mutex;

static void peer_make(const char *path)
{
	pthread_mutexattr_t how;
	mutex = (pthread_mutex_t *)map_page(path, 1);
	pthread_mutexattr_init(&how);
	pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
#ifdef ROBUST
	pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
#endif
	if (pthread_mutex_init(mutex, &how) != 0)
		die_of("pthread_mutex_init");
}

static void peer_join(const char *path) { mutex = (pthread_mutex_t *)map_page(path, 0); }
static void peer_unmake(const char *path) { unlink(path); }

static inline void peer_acquire(void)
{
	int error = pthread_mutex_lock(mutex);
	if (__builtin_expect(error != 0, 0)) {
#ifdef ROBUST
		if (error == EOWNERDEAD) {
			pthread_mutex_consistent(mutex);
			return;
		}
#endif
		die_of("pthread_mutex_lock");
	}
}

static inline void peer_release(void) { pthread_mutex_unlock(mutex); }
