/* QSharedMemory of Qt 5 or Qt 6, with its own lock().
 *
 * Its segment goes with the last one who is attached, so `make` leaves a keeper behind, whose process identifier is in the
 * file at the path; `unmake` ends it. */
#define PEER_LIFE
#include "common.h"
static void peer_life(const char *path, uint64_t number);
#include "harness.h"
#include <QtCore/QSharedMemory>
#include <csignal>
#include <sys/wait.h>

static QSharedMemory *memory;

static void share(const char *path, bool make)
{
	memory = new QSharedMemory(QString::fromLocal8Bit(path));
	if (!(make ? memory->create(4096) : memory->attach())) {
		fprintf(stderr, "%s\n", qPrintable(memory->errorString()));
		exit(1);
	}
	value = (volatile uint64_t *)((char *)memory->data() + 256);
}

static void peer_join(const char *path) { share(path, false); }

static void peer_make(const char *path)
{
	static uint64_t nothing;
	int keeper = fork();
	if (keeper == 0) {
		sigset_t end;
		int signal;
		sigemptyset(&end);
		sigaddset(&end, SIGTERM);
		sigprocmask(SIG_BLOCK, &end, NULL);
		share(path, true);
		FILE *file = fopen(path, "w");
		fprintf(file, "%d\n", (int)getpid());
		fclose(file);
		sigwait(&end, &signal);
		delete memory;
		unlink(path);
		_exit(0);
	}
	for (struct stat facts; stat(path, &facts) != 0 || facts.st_size == 0; usleep(1000))
		if (waitpid(keeper, NULL, WNOHANG) != 0)
			exit(1);
	value = &nothing;
}

static void peer_unmake(const char *path)
{
	int keeper = 0;
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%d", &keeper) != 1)
		die_of(path);
	fclose(file);
	kill(keeper, SIGTERM);
	for (struct stat facts; stat(path, &facts) == 0; usleep(1000))
		;
}

static inline void peer_acquire(void) { memory->lock(); }
static inline void peer_release(void) { memory->unlock(); }

static void peer_life(const char *path, uint64_t number)
{
	uint64_t begin = start_line(), steps[4] = { 0, 0, 0, 0 };
	for (uint64_t i = 0; i < number; i++) {
		uint64_t t0 = now_ns();
		QSharedMemory *creator = new QSharedMemory(QString::fromLocal8Bit(path));
		creator->create(4096);
		uint64_t t1 = now_ns();
		QSharedMemory *other = new QSharedMemory(QString::fromLocal8Bit(path));
		other->attach();
		uint64_t t2 = now_ns();
		delete other;
		uint64_t t3 = now_ns();
		delete creator;
		uint64_t t4 = now_ns();
		steps[0] += t1 - t0, steps[1] += t2 - t1, steps[2] += t3 - t2, steps[3] += t4 - t3;
	}
	say_times(begin, number);
	printf(" create=%" PRIu64 " attach=%" PRIu64 " detach=%" PRIu64 " destroy=%" PRIu64 "\n", steps[0], steps[1],
	       steps[2], steps[3]);
}
