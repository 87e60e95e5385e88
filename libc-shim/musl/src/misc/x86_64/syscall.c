/* syscall(2): the number is only known at run time, so this links the whole table. */
#define _BSD_SOURCE
#include <stdarg.h>
#include <unistd.h>
#include "syscall.h"

#undef syscall

hidden long libos_syscall_dispatch(long, long, long, long, long, long, long);

long syscall(long n, ...)
{
	long arg[6];
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	return __syscall_ret(libos_syscall_dispatch(n, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]));
}
