/* malloc is mimalloc's. The public names are weak and each is in its own file, so that a program may bring its own. */
#include <stdlib.h>
#include "libc.h"
#include "live.h"

void *__libc_malloc(size_t n)
{
	return __live_malloc(n, libc.threaded);
}
weak_alias(__libc_malloc, malloc);
