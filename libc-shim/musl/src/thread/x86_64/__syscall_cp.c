/* Cancellation points of a program that never cancels: a plain call. pthread_cancel.c overrides both. */
#include "pthread_impl.h"
#include "syscall.h"

static long plain(__libos_call call, long a, long b, long c, long d, long e, long f)
{
	return call(a, b, c, d, e, f);
}

weak_alias(plain, __libos_cp);
weak_alias(plain, __libos_cp_close);
