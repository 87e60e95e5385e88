#include <malloc.h>
#include "live.h"

size_t malloc_usable_size(void *p)
{
	return __live_size(p);
}
