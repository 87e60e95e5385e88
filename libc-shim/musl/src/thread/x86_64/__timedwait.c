/*
 * Waits with a deadline: what every pthread_*timed*, sem_timedwait and the like are built on.
 *
 * The deadline is passed to the kernel as it is. If it were turned into a duration, a wait for a time of day would
 * outlast a clock that is set past it, which POSIX forbids (clock_settime: absolute time services of CLOCK_REALTIME).
 */
#include <errno.h>
#include <time.h>
#include "futex.h"
#include "pthread_impl.h"
#include "syscall.h"

/* The real one is in sigaction.c: whether a handler may interrupt a wait. */
static volatile int never = 0;
weak_alias(never, __eintr_valid_flag);

int __timedwait_cp(volatile int *addr, int val, clockid_t clk, const struct timespec *at, int priv)
{
	struct timespec rest;
	int op = FUTEX_WAIT, r;

	if (at) {
		if ((unsigned long)at->tv_nsec >= 1000000000) return EINVAL;
		if (at->tv_sec < 0) return ETIMEDOUT;
		switch (clk) {
		case CLOCK_REALTIME:
			op = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
			break;
		case CLOCK_MONOTONIC:
			op = FUTEX_WAIT_BITSET;
			break;
		default:
			/* Futexes support no other clock. */
			if (__clock_gettime(clk, &rest)) return EINVAL;
			rest.tv_sec = at->tv_sec - rest.tv_sec;
			rest.tv_nsec = at->tv_nsec - rest.tv_nsec;
			if (rest.tv_nsec < 0) {
				rest.tv_sec--;
				rest.tv_nsec += 1000000000;
			}
			if (rest.tv_sec < 0) return ETIMEDOUT;
			at = &rest;
		}
	}
	if (priv) op |= FUTEX_PRIVATE;
	r = -__syscall_cp(SYS_futex, addr, op, val, at, 0, -1);
	if (r == EINTR && !__eintr_valid_flag) return 0;
	return r == EINTR || r == ETIMEDOUT || r == ECANCELED ? r : 0;
}

int __timedwait(volatile int *addr, int val, clockid_t clk, const struct timespec *at, int priv)
{
	int state, r;
	__pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	r = __timedwait_cp(addr, val, clk, at, priv);
	__pthread_setcancelstate(state, 0);
	return r;
}
