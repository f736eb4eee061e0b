/* Boost's mutex between processes, in shared memory; with -DNAMED the one that is found by name. */
#include "harness.h"
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/named_mutex.hpp>
#include <new>

using namespace boost::interprocess;

#ifdef NAMED
static named_mutex *mutex;

static const char *name_of(const char *path) { return strrchr(path, '/') + 1; }

static void peer_make(const char *path)
{
	map_page(path, 1);
	mutex = new named_mutex(create_only, name_of(path));
}

static void peer_join(const char *path)
{
	map_page(path, 0);
	mutex = new named_mutex(open_only, name_of(path));
}

static void peer_unmake(const char *path)
{
	named_mutex::remove(name_of(path));
	unlink(path);
}
#else
static interprocess_mutex *mutex;

static void peer_make(const char *path) { mutex = new (map_page(path, 1)) interprocess_mutex; }
static void peer_join(const char *path) { mutex = static_cast<interprocess_mutex *>(map_page(path, 0)); }
static void peer_unmake(const char *path) { unlink(path); }
#endif

static inline void peer_acquire(void) { mutex->lock(); }
static inline void peer_release(void) { mutex->unlock(); }
