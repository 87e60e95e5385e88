/* See stat.c. */
#include <sys/stat.h>
#include "syscall.h"

int fstatat(int fd, const char *restrict path, struct stat *restrict out, int flags)
{
	return syscall(SYS_newfstatat, fd, path, out, flags);
}

weak_alias(fstatat, fstatat64);
