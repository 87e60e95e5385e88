#include <malloc.h>
#include "live.h"

size_t malloc_usable_size(void *p)
{
	return p ? __live_size(p) : 0;
}
