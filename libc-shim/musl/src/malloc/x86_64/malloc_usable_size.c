#include <malloc.h>

size_t mi_usable_size(const void *);

size_t malloc_usable_size(void *p)
{
	return mi_usable_size(p);
}
