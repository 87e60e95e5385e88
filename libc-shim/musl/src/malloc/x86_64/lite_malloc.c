/* malloc is mimalloc's. The public names are weak and one to a file, so that a program may bring its own. */
#include <stdlib.h>
#include <errno.h>
#include "libc.h"

void *mi_malloc(size_t);

void *__libc_malloc(size_t n)
{
	void *p = mi_malloc(n);
	if (!p)
		errno = ENOMEM;
	return p;
}
weak_alias(__libc_malloc, malloc);
