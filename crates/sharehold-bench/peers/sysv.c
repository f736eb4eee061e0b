/* A System V semaphore with undo: the kernel gives back what a dead process had. */
#include "harness.h"
#include <errno.h>
#include <sys/ipc.h>
#include <sys/sem.h>

static int semaphore;

static void peer_make(const char *path)
{
	int *page = (int *)map_page(path, 1);
	semaphore = semget(IPC_PRIVATE, 1, 0600);
	if (semaphore < 0 || semctl(semaphore, 0, SETVAL, 1) != 0)
		die_of("semget");
	*page = semaphore;
}

static void peer_join(const char *path) { semaphore = *(int *)map_page(path, 0); }

static void peer_unmake(const char *path)
{
	peer_join(path);
	semctl(semaphore, 0, IPC_RMID);
	unlink(path);
}

static inline void change(short by)
{
	struct sembuf operation = { 0, by, SEM_UNDO };
	while (semop(semaphore, &operation, 1) != 0)
		if (errno != EINTR)
			die_of("semop");
}

static inline void peer_acquire(void) { change(-1); }
static inline void peer_release(void) { change(1); }
