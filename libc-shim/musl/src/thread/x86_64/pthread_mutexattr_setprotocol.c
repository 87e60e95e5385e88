/* musl's. The kernel has locks that lend priorities only in programs that may make such mutexes. */
#include "pthread_impl.h"

extern void libos_component_pi(void);

#define pthread_mutexattr_setprotocol any
static __attribute__((__noinline__)) int any(pthread_mutexattr_t *a, int protocol);
#include "../pthread_mutexattr_setprotocol.c"
#undef pthread_mutexattr_setprotocol

int pthread_mutexattr_setprotocol(pthread_mutexattr_t *a, int protocol)
{
	/* A mention is enough. */
	__asm__ volatile ("" : : "r"(libos_component_pi));
	return any(a, protocol);
}
