#include <stdlib.h>
#include <string.h>
#include "libc.h"
#include "live.h"

void *__libc_malloc(size_t);

void *__libc_realloc(void *p, size_t n)
{
	size_t old;
	void *q;

	if (!p)
		return __libc_malloc(n);
	old = __live_size(p);
	/* A block that would be less than half full is replaced by a smaller one. */
	if (n <= old && n >= old / 2)
		return p;
	q = __libc_malloc(n);
	if (q) {
		memcpy(q, p, n < old ? n : old);
		__live_free(p, libc.threaded);
	}
	return q;
}
weak_alias(__libc_realloc, realloc);
