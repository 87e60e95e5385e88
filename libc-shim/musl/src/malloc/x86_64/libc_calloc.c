#include <stdlib.h>
#include <errno.h>
#include "libc.h"
#include "live.h"

void *__libc_calloc(size_t m, size_t n)
{
	size_t size;
	void *p = 0;

	if (!__builtin_mul_overflow(m, n, &size))
		p = __live_zalloc(size, libc.threaded);
	if (!p)
		errno = ENOMEM;
	return p;
}
weak_alias(__libc_calloc, calloc);
