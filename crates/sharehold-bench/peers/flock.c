/* A lock on the whole file, by flock(2). */
#include "harness.h"
#include <errno.h>
#include <sys/file.h>

static int file;

static void peer_make(const char *path) { map_page(path, 1); }
static void peer_unmake(const char *path) { unlink(path); }

static void peer_join(const char *path)
{
	map_page(path, 0);
	file = open(path, O_RDWR | O_CLOEXEC);
	if (file < 0)
		die_of(path);
}

static inline void change(int how)
{
	while (flock(file, how) != 0)
		if (errno != EINTR)
			die_of("flock");
}

static inline void peer_acquire(void) { change(LOCK_EX); }
static inline void peer_release(void) { change(LOCK_UN); }
