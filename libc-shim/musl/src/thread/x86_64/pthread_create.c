/* musl's, except that stacks are kept for the next thread (stacks.c). */
#define _GNU_SOURCE
#include <sys/mman.h>
#include "pthread_impl.h"
#include "stacks.h"

#define __mmap(start, size, prot, flags, fd, offset) \
	__stack_take(size, guard, libc.tls_size + __pthread_tsd_size)
#define __mprotect(start, size, prot) 0
/* A thread whose stack is kept goes on to its exit. */
#define __unmapself(map, size) \
	((void)(__stack_give_own(map, size, self->guard_size) || (__unmapself(map, size), 0)))

#include "../pthread_create.c"
