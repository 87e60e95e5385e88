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

int __pthread_mutex_unlock(pthread_mutex_t *m)
{
	if (m->_m_type & 15) return any(m);
	int waiters = m->_m_waiters;
	int state = a_swap(&m->_m_lock, 0);
	if (waiters || state < 0) __wake(&m->_m_lock, 1, !(m->_m_type & 128));
	return 0;
}

weak_alias(__pthread_mutex_unlock, pthread_mutex_unlock);
