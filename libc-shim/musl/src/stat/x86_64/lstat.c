/* See stat.c. */
#include <sys/stat.h>
#include "syscall.h"

int lstat(const char *restrict path, struct stat *restrict out)
{
	return syscall(SYS_lstat, path, out);
}

weak_alias(lstat, lstat64);
