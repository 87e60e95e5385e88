#include <stdlib.h>
#include <errno.h>

void *mi_malloc_aligned(size_t, size_t);

/* memalign() and posix_memalign() come through here. */
void *aligned_alloc(size_t align, size_t n)
{
	void *p;

	if (!align || align & (align - 1)) {
		errno = EINVAL;
		return 0;
	}
	p = mi_malloc_aligned(n, align);
	if (!p)
		errno = ENOMEM;
	return p;
}
