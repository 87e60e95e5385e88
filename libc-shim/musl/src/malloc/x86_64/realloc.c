#include <stdlib.h>
#include <errno.h>
#include "libc.h"

void *mi_realloc(void *, size_t);

void *__libc_realloc(void *p, size_t n)
{
	void *q = mi_realloc(p, n);
	if (!q)
		errno = ENOMEM;
	return q;
}
weak_alias(__libc_realloc, realloc);
