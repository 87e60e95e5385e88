/*
 * musl's answers, except for what an image refuses in both lives: other processes (fork, spawn, a shell, job control,
 * message queues, System V memory), real-time policies.
 */
#define sysconf __sysconf_of_musl
#include "../sysconf.c"
#undef sysconf

long sysconf(int name)
{
	switch (name) {
	/* This process and no others. */
	case _SC_CHILD_MAX:
		return 1;
	case _SC_JOB_CONTROL:
	case _SC_MESSAGE_PASSING:
	case _SC_MQ_PRIO_MAX:
	case _SC_SHELL:
	case _SC_SPAWN:
	case _SC_THREAD_PRIORITY_SCHEDULING:
	case _SC_XOPEN_SHM:
		return -1;
	}
	return __sysconf_of_musl(name);
}
