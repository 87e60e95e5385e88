#include <stdlib.h>
#include <errno.h>
#include "libc.h"
#include "live.h"

/* memalign() and posix_memalign() come through here. */
void *aligned_alloc(size_t align, size_t n)
{
	void *p;

	if (!align || align & (align - 1)) {
		errno = EINVAL;
		return 0;
	}
	p = __live_aligned(n, align, libc.threaded);
	if (!p)
		errno = ENOMEM;
	return p;
}
