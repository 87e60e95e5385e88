/* epoll. Every call of Linux's is there, so epoll_wait() makes its own, which has no signal mask to look at. */
#include <sys/epoll.h>
#include <signal.h>
#include "syscall.h"

int epoll_create(int size)
{
	return epoll_create1(0);
}

int epoll_create1(int flags)
{
	return syscall(SYS_epoll_create1, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	return syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	return syscall_cp(SYS_epoll_wait, epoll, events, most, timeout);
}

int epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
	return syscall_cp(SYS_epoll_pwait, epoll, events, most, timeout, mask, _NSIG / 8);
}
