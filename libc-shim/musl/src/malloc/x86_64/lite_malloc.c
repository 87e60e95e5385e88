/* malloc is mimalloc's. The public names are weak and each is in its own file, so that a program may bring its own. */
#include <stdlib.h>
#include <errno.h>
#include "libc.h"
#include "live.h"

void *mi_malloc(size_t);

void *__libc_malloc(size_t n)
{
	void *p = mi_malloc(AT_LEAST_A_GRANULE(n));
	if (!p) {
		errno = ENOMEM;
		return 0;
	}
	return __live_begin(p, libc.threaded);
}
weak_alias(__libc_malloc, malloc);
