#include <stdlib.h>
#include "libc.h"
#include "live.h"

void __libc_free(void *p)
{
	if (p)
		__live_free(p, libc.threaded);
}
weak_alias(__libc_free, free);
