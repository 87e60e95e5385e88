/*
 * Included before mimalloc's source. That makes a few system calls by number, which would link the whole table
 * (musl's syscall() takes run-time numbers). The names are pasted, not expanded, so each gets an answer here.
 */
#include <fcntl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define syscall(number, ...) malloc_##number(__VA_ARGS__)

/*
 * It would read /proc/sys/vm/overcommit_memory: the answer is "2", no overcommit. Memory is then charged when it is
 * committed, so that malloc returns NULL when there is none, rather than faulting at the first touch.
 */
#define malloc_SYS_open(...) (1000)
#define malloc_SYS_read(fd, buffer, length) (*(char *)(buffer) = '2', 1)
#define malloc_SYS_close(...) (0)
/* NUMA nodes: none. */
#define malloc_SYS_access(...) (-1)
#define malloc_SYS_mbind(...) (-1L)
#define malloc_SYS_getcpu(...) (-1L)
#define malloc_SYS_getrandom(buffer, length, flags) getrandom(buffer, length, flags)
