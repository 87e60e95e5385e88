/*
 * Stacks of threads that have ended, kept for the threads to come.
 *
 * Mapping a stack, protecting its guard, touching it and unmapping it again costs several times what the rest of a
 * thread costs. A few stacks of ordinary size stay mapped, with what was written to them, as in other C libraries.
 */
#include <sys/mman.h>
#include "pthread_impl.h"
#include "stacks.h"
#include <string.h>

#define KEPT 8
#define LARGEST (256 << 10)

/* What the end of a kept stack says about it. */
struct label { size_t size, guard; };

/* The ends of the kept stacks. No lock: threads come here while they end, when locks may be skipped already. */
static void *volatile kept[KEPT];

static struct label *label(void *end)
{
	return (struct label *)end - 1;
}

static int put(void *end)
{
	for (int i = 0; i < KEPT; i++)
		if (!kept[i] && !a_cas_p(&kept[i], 0, end))
			return 1;
	return 0;
}

void *__stack_take(size_t size, size_t guard, size_t zeros)
{
	char *map;

	for (int i = 0; i < KEPT; i++) {
		char *end = kept[i];
		if (!end || a_cas_p(&kept[i], end, 0) != end)
			continue;
		/* A detached thread may not quite have left it. */
		__tl_sync(0);
		if (label(end)->size == size && label(end)->guard == guard) {
			memset(end - zeros, 0, zeros);
			return end - size;
		}
		if (!put(end))
			__munmap(end - label(end)->size, label(end)->size);
	}
	map = __mmap(0, size, guard ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
	if (map != MAP_FAILED && guard && __mprotect(map + guard, size - guard, PROT_READ | PROT_WRITE)) {
		__munmap(map, size);
		return MAP_FAILED;
	}
	return map;
}

int __stack_give_own(void *map, size_t size, size_t guard)
{
	char *end = (char *)map + size;

	if (size > LARGEST)
		return 0;
	/* The end holds the values of the thread's last keys, whose destructors have run. */
	*label(end) = (struct label){ size, guard };
	return put(end);
}

void __stack_give(void *map, size_t size, size_t guard)
{
	if (!__stack_give_own(map, size, guard))
		__munmap(map, size);
}
