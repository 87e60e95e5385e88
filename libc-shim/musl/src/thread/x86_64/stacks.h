/* Stacks of threads that have ended, kept for the threads to come: see stacks.c. */
#include <features.h>
#include <stddef.h>

/* A mapping with its guard, of which the last `zeros` bytes are zero, or MAP_FAILED. */
hidden void *__stack_take(size_t size, size_t guard, size_t zeros);
/* Keeps the stack of a thread that has ended, or unmaps it. */
hidden void __stack_give(void *map, size_t size, size_t guard);
/* The same for the stack that the caller runs on, which holds the thread list lock until it has ended. 0: not kept. */
hidden int __stack_give_own(void *map, size_t size, size_t guard);
