/* musl's, except that the stack is kept for the next thread (stacks.c). */
#define _GNU_SOURCE
#include <sys/mman.h>
#include "pthread_impl.h"
#include "stacks.h"

#define __munmap(map, size) __stack_give(map, size, t->guard_size)

#include "../pthread_join.c"
