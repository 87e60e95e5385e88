#include <stdlib.h>
#include "libc.h"

void mi_free(void *);

void __libc_free(void *p)
{
	mi_free(p);
}
weak_alias(__libc_free, free);
