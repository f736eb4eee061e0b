/* The life of shared memory by bare system calls: create, attach, detach, destroy, without any check or lock.
 *
 * `life VERB PATH NUMBER` with -DWAY=UNNAMED, SHM_OPEN or SYSTEM_V; as in src/ours.rs. */
#define UNNAMED 1
#define SHM_OPEN 2
#define SYSTEM_V 3

#include "common.h"
#include <sys/ipc.h>
#include <sys/shm.h>

/* One side's view of the memory. */
struct view {
	int file;
	char *at;
	size_t length;
};

#if WAY != SYSTEM_V
static void map_view(struct view *view)
{
	view->at = (char *)mmap(NULL, view->length, PROT_READ | PROT_WRITE, MAP_SHARED, view->file, 0);
	if (view->at == MAP_FAILED)
		die_of("mmap");
}
#endif

static struct view create(const char *path, size_t length)
{
	struct view view = { -1, NULL, length };
#if WAY == UNNAMED
	char self[64], directory[4096];
	snprintf(directory, sizeof directory, "%s", path);
	*strrchr(directory, '/') = 0;
	view.file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (view.file < 0 || fallocate(view.file, 0, 0, (off_t)length) != 0)
		die_of("O_TMPFILE");
	map_view(&view);
	view.at[0] = 1;
	snprintf(self, sizeof self, "/proc/self/fd/%d", view.file);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0)
		die_of("linkat");
#elif WAY == SHM_OPEN
	view.file = shm_open(strrchr(path, '/'), O_CREAT | O_EXCL | O_RDWR, 0600);
	if (view.file < 0 || ftruncate(view.file, (off_t)length) != 0)
		die_of("shm_open");
	map_view(&view);
	view.at[0] = 1;
#else
	(void)path;
	view.file = shmget((key_t)getpid(), length, IPC_CREAT | IPC_EXCL | 0600);
	view.at = (char *)shmat(view.file, NULL, 0);
	if (view.file < 0 || view.at == (char *)-1)
		die_of("shmget");
	view.at[0] = 1;
#endif
	return view;
}

static struct view attach(const char *path)
{
	struct view view = { -1, NULL, 0 };
#if WAY == SYSTEM_V
	(void)path;
	view.file = shmget((key_t)getpid(), 0, 0600);
	view.at = (char *)shmat(view.file, NULL, 0);
	if (view.file < 0 || view.at == (char *)-1)
		die_of("shmget");
#else
	struct stat facts;
	view.file = WAY == SHM_OPEN ? shm_open(strrchr(path, '/'), O_RDWR, 0) : open(path, O_RDWR | O_CLOEXEC);
	if (view.file < 0 || fstat(view.file, &facts) != 0)
		die_of(path);
	view.length = (size_t)facts.st_size;
	map_view(&view);
#endif
	if (*(volatile char *)view.at == 2)
		abort();
	return view;
}

static void detach(struct view view)
{
#if WAY == SYSTEM_V
	shmdt(view.at);
#else
	munmap(view.at, view.length);
	close(view.file);
#endif
}

static void destroy(const char *path, struct view view)
{
#if WAY == UNNAMED
	unlink(path);
#elif WAY == SHM_OPEN
	shm_unlink(strrchr(path, '/'));
#else
	(void)path;
	shmctl(view.file, IPC_RMID, NULL);
#endif
	detach(view);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	const char *verb = argv[1], *path = argv[2];
	uint64_t number = strtoull(argv[3], NULL, 10), steps[4] = { 0, 0, 0, 0 };
	if (is(verb, "life")) {
		uint64_t begin = start_line();
		for (uint64_t i = 0; i < number; i++) {
			uint64_t t0 = now_ns();
			struct view creator = create(path, 4096);
			uint64_t t1 = now_ns();
			struct view other = attach(path);
			uint64_t t2 = now_ns();
			detach(other);
			uint64_t t3 = now_ns();
			destroy(path, creator);
			uint64_t t4 = now_ns();
			steps[0] += t1 - t0, steps[1] += t2 - t1, steps[2] += t3 - t2, steps[3] += t4 - t3;
		}
		say_times(begin, number);
		printf(" create=%" PRIu64 " attach=%" PRIu64 " detach=%" PRIu64 " destroy=%" PRIu64 "\n", steps[0], steps[1],
		       steps[2], steps[3]);
	} else if (is(verb, "make-large")) {
		detach(create(path, number));
	} else if (is(verb, "unmake")) {
		unlink(path);
	} else if (is(verb, "attach")) {
		uint64_t begin = start_line();
		for (uint64_t i = 0; i < number; i++)
			detach(attach(path));
		say_times(begin, number);
		say("");
	} else if (is(verb, "copy") && argc > 4) {
		/* Blocks into all of the memory and out again. */
		size_t block = strtoull(argv[4], NULL, 10);
		struct view view = attach(path);
		char *buffer = (char *)malloc(block);
		memset(buffer, 7, block);
		uint64_t begin = start_line();
		for (uint64_t i = 0; i < number; i++)
			for (size_t offset = 0; offset + block <= view.length; offset += block) {
				memcpy(view.at + offset, buffer, block);
				__asm__ volatile("" ::: "memory");
			}
		uint64_t copied_in = now_ns() - begin;
		for (uint64_t i = 0; i < number; i++)
			for (size_t offset = 0; offset + block <= view.length; offset += block) {
				memcpy(buffer, view.at + offset, block);
				__asm__ volatile("" : : "r"(buffer) : "memory");
			}
		say_times(begin, number);
		printf(" in=%" PRIu64 "\n", copied_in);
	} else {
		return 2;
	}
	return 0;
}
