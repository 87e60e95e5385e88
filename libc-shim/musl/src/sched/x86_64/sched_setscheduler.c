// musl's sched_setscheduler and its kin only return ENOSYS, since Linux's calls are for one thread where POSIX means the
// process. Programs are written for Linux's, as glibc has them.
#include <sched.h>
#include "syscall.h"

int sched_setscheduler(pid_t pid, int policy, const struct sched_param *param)
{
	return syscall(SYS_sched_setscheduler, pid, policy, param);
}
