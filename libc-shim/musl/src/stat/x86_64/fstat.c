/* See stat.c. */
#include <sys/stat.h>
#include "syscall.h"

int fstat(int fd, struct stat *out)
{
	return syscall(SYS_fstat, fd, out);
}

weak_alias(fstat, fstat64);
