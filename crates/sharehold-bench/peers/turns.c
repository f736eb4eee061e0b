/* Two processes that take turns by a bare futex: a word is raised and its sleeper woken, and nothing else is promised.
 *
 * `turns VERB PATH NUMBER ME`: takes NUMBER turns, those where the word is even for ME = 0; as in src/turns.rs. */
#include "common.h"
#include <linux/futex.h>
#include <sys/syscall.h>

static uint32_t *map_word(const char *path, int make)
{
	int file = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
	if (file < 0 || (make && ftruncate(file, 4096) != 0))
		die_of(path);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (page == MAP_FAILED)
		die_of("mmap");
	close(file);
	return (uint32_t *)page;
}

static void take_turns(uint32_t *word, uint64_t number, uint32_t me)
{
	for (uint64_t i = 0; i < number; i++) {
		uint32_t found;
		while ((found = __atomic_load_n(word, __ATOMIC_ACQUIRE)) % 2 != me)
			syscall(SYS_futex, word, FUTEX_WAIT, found, NULL, NULL, 0);
		__atomic_store_n(word, found + 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: %s VERB PATH [NUMBER ME]\n", argv[0]);
		return 2;
	}
	const char *verb = argv[1], *path = argv[2];
	uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	uint32_t me = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
	if (is(verb, "make")) {
		map_word(path, 1);
	} else if (is(verb, "unmake")) {
		unlink(path);
	} else if (is(verb, "turns")) {
		uint32_t *word = map_word(path, 0);
		uint64_t begin = start_line();
		take_turns(word, number, me);
		say_times(begin, number);
		say("");
	} else {
		fprintf(stderr, "%s does not know %s\n", argv[0], verb);
		return 2;
	}
	return 0;
}
