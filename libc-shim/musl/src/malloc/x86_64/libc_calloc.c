#include <stdlib.h>
#include <errno.h>
#include "libc.h"
#include "live.h"

void *mi_zalloc(size_t);

void *__libc_calloc(size_t m, size_t n)
{
	size_t size;
	void *p;

	if (__builtin_mul_overflow(m, n, &size) || !(p = mi_zalloc(AT_LEAST_A_GRANULE(size)))) {
		errno = ENOMEM;
		return 0;
	}
	return __live_begin(p, libc.threaded);
}
weak_alias(__libc_calloc, calloc);
