/* musl's, with a short way for plain mutexes. */
#include "pthread_impl.h"

#pragma push_macro("weak_alias")
#undef weak_alias
#define weak_alias(old, new)
#define __pthread_mutex_unlock any
static __attribute__((__noinline__)) int any(pthread_mutex_t *m);
#include "../pthread_mutex_unlock.c"
#undef __pthread_mutex_unlock
#pragma pop_macro("weak_alias")

/* As soon as it is unlocked, another thread may destroy it: only its address and what was read before are used here. */
static __attribute__((__noinline__)) int wake(volatile int *lock, int priv)
{
	__wake(lock, 1, priv);
	return 0;
}

int __pthread_mutex_unlock(pthread_mutex_t *m)
{
	int type = m->_m_type;
	if (type & 15) return any(m);
	int waiters = m->_m_waiters;
	int state = a_swap(&m->_m_lock, 0);
	if (waiters || state < 0) return wake(&m->_m_lock, !(type & 128));
	return 0;
}

weak_alias(__pthread_mutex_unlock, pthread_mutex_unlock);
