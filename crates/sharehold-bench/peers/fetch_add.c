/* No lock at all: one atomic addition, the bound of shared counting. */
#define PEER_NO_LOCK
#define PEER_INCREMENT() __atomic_fetch_add(value, 1, __ATOMIC_RELAXED)
#include "harness.h"

static void peer_make(const char *path) { map_page(path, 1); }
static void peer_join(const char *path) { map_page(path, 0); }
static void peer_unmake(const char *path) { unlink(path); }
