/* Reading a value of 64 bytes that others may change: with -DWAY=SEQLOCK or RWLOCK.
 *
 * `value VERB PATH NUMBER`; the verbs are those of src/values.rs. */
#define SEQLOCK 1
#define RWLOCK 2

#include "common.h"
#include <pthread.h>
#include <stdatomic.h>

enum { WORDS = 8 };

struct shared {
	_Alignas(64) pthread_rwlock_t lock;
	_Alignas(64) atomic_ulong sequence;
	_Alignas(64) _Atomic uint64_t words[WORDS];
};

static struct shared *shared;

static void map_shared(const char *path, int make)
{
	int file = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
	if (file < 0 || (make && ftruncate(file, sizeof *shared) != 0))
		die_of(path);
	shared = (struct shared *)mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (shared == MAP_FAILED)
		die_of("mmap");
	close(file);
}

static inline void load(uint64_t *into)
{
	for (int i = 0; i < WORDS; i++)
		into[i] = atomic_load_explicit(&shared->words[i], memory_order_relaxed);
}

static inline void get(uint64_t *into)
{
#if WAY == SEQLOCK
	for (;;) {
		unsigned long before = atomic_load_explicit(&shared->sequence, memory_order_acquire);
		if (before % 2 == 0) {
			load(into);
			atomic_thread_fence(memory_order_acquire);
			if (atomic_load_explicit(&shared->sequence, memory_order_relaxed) == before)
				return;
		}
	}
#else
	pthread_rwlock_rdlock(&shared->lock);
	load(into);
	pthread_rwlock_unlock(&shared->lock);
#endif
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const char *verb = argv[1], *path = argv[2];
	uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	if (is(verb, "make-value")) {
		pthread_rwlockattr_t how;
		map_shared(path, 1);
		pthread_rwlockattr_init(&how);
		pthread_rwlockattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
		if (pthread_rwlock_init(&shared->lock, &how) != 0)
			die_of("pthread_rwlock_init");
	} else if (is(verb, "unmake")) {
		unlink(path);
	} else if (is(verb, "get")) {
		uint64_t value[WORDS];
		map_shared(path, 0);
		uint64_t begin = start_line();
		for (uint64_t i = 0; i < number; i++) {
			get(value);
			__asm__ volatile("" : : "r"(value) : "memory");
		}
		say_times(begin, number);
		say("");
	} else {
		return 2;
	}
	return 0;
}
