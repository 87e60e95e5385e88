/* malloc is mimalloc's. The public names are weak and one to a file, so that a program may bring its own. */
#include <stdlib.h>
#include <errno.h>
#include "libc.h"
#include "live.h"

void *__libc_malloc(size_t n)
{
	void *p = __live_malloc(n, libc.threaded);
	if (!p)
		errno = ENOMEM;
	return p;
}
weak_alias(__libc_malloc, malloc);
