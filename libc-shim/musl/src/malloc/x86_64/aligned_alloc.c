#include <stdlib.h>
#include <errno.h>
#include "libc.h"
#include "live.h"

void *mi_malloc_aligned(size_t, size_t);
void *__libc_malloc(size_t);

/* memalign() and posix_memalign() come through here. */
void *aligned_alloc(size_t align, size_t n)
{
	void *p;

	if (!align || align & (align - 1)) {
		errno = EINVAL;
		return 0;
	}
	/* As all blocks are. */
	if (align <= GRANULE)
		return __libc_malloc(n);
	p = mi_malloc_aligned(AT_LEAST_A_GRANULE(n), AT_LEAST_A_GRANULE(align));
	if (!p) {
		errno = ENOMEM;
		return 0;
	}
	return __live_begin(p, libc.threaded);
}
