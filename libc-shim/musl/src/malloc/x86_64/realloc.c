#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include "libc.h"
#include "live.h"

void *__libc_realloc(void *p, size_t n)
{
	size_t old = __live_size(p);
	void *q;

	/* A block that would be less than half full gives way to a smaller one. */
	if (p && n <= old && n >= old / 2)
		return p;
	q = __live_malloc(n, libc.threaded);
	if (!q) {
		errno = ENOMEM;
		return 0;
	}
	if (p) {
		memcpy(q, p, n < old ? n : old);
		__live_free(p, libc.threaded);
	}
	return q;
}
weak_alias(__libc_realloc, realloc);
