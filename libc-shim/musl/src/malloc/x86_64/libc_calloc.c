#include <stdlib.h>
#include <errno.h>
#include "libc.h"

void *mi_calloc(size_t, size_t);

void *__libc_calloc(size_t m, size_t n)
{
	void *p = mi_calloc(m, n);
	if (!p)
		errno = ENOMEM;
	return p;
}
weak_alias(__libc_calloc, calloc);
