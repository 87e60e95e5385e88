/* setuid() and its family. Their numbers arrive at run time, but only these numbers do. */
#include <unistd.h>
#include <signal.h>
#include "syscall.h"
#include "libc.h"

struct request {
	int number, id, eid, sid;
	int result; /* positive until the first thread has changed */
};

static int change(const struct request *r)
{
	switch (r->number) {
	case SYS_setuid: return __syscall(SYS_setuid, r->id);
	case SYS_setgid: return __syscall(SYS_setgid, r->id);
	case SYS_setreuid: return __syscall(SYS_setreuid, r->id, r->eid);
	case SYS_setregid: return __syscall(SYS_setregid, r->id, r->eid);
	case SYS_setresuid: return __syscall(SYS_setresuid, r->id, r->eid, r->sid);
	case SYS_setresgid: return __syscall(SYS_setresgid, r->id, r->eid, r->sid);
	}
	return -ENOSYS;
}

static void each_thread(void *argument)
{
	struct request *r = argument;
	int result;

	if (r->result < 0)
		return;
	result = change(r);
	if (result && !r->result) {
		/* Some threads have the new identity and this one cannot get it: continuing would be a security hole. */
		__block_all_sigs(0);
		__syscall(SYS_kill, __syscall(SYS_getpid), SIGKILL);
	}
	r->result = result;
}

int __setxid(int number, int id, int eid, int sid)
{
	struct request r = { number, id, eid, sid, 1 };
	__synccall(each_thread, &r);
	return __syscall_ret(r.result);
}
