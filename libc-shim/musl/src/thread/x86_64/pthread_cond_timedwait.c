/* musl's, with a short way for waits without a deadline in programs that cancel no threads. */
#include "pthread_impl.h"

/* 0 does not say that the word has changed: the caller looks. */
static inline int wait_for(volatile int *addr, int val, clockid_t clk, const struct timespec *at, int priv)
{
	if (at || __libos_cp)
		return __timedwait_cp(addr, val, clk, at, priv);
	__syscall(SYS_futex, addr, priv ? FUTEX_WAIT | FUTEX_PRIVATE : FUTEX_WAIT, val, 0);
	return 0;
}

/* Nobody looks at the state of a thread that is not cancelled. */
static inline int set_state(int new, int *old)
{
	if (__libos_cp)
		return __pthread_setcancelstate(new, old);
	if (old)
		*old = PTHREAD_CANCEL_ENABLE;
	return 0;
}

static inline void test_cancel(void)
{
	if (__libos_cp)
		__pthread_testcancel();
}

#define __timedwait_cp wait_for
#define __pthread_setcancelstate set_state
#define __pthread_testcancel test_cancel

#include "../pthread_cond_timedwait.c"
