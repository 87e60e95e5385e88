/*
 * Cancellation when system calls are function calls.
 *
 * A cancellation point calls through __libos_cp_asm. The SIGCANCEL handler may act only where the call has had no
 * effect yet: between __cp_begin and __cp_end, or inside the callee before it enters the kernel. The second place is
 * recognised by its return address: the stub pushes nothing, so __cp_end on top of the stack means that the stub is
 * running, and its `ret` means that the call is over. This holds on Linux, where the interrupted program counter is at
 * the stub's `syscall` instruction, and in the VM, where a restarted call is presented at the stub's first instruction.
 */
#define _GNU_SOURCE
#include <string.h>
#include "pthread_impl.h"
#include "syscall.h"

hidden long __cancel(void);
hidden long __libos_cp_asm(volatile void *flag, __libos_call, long, long, long, long, long, long);
extern hidden const char __cp_begin[1], __cp_end[1], __cp_cancel[1];

long __cancel(void)
{
	pthread_t self = __pthread_self();
	if (self->canceldisable == PTHREAD_CANCEL_ENABLE || self->cancelasync)
		pthread_exit(PTHREAD_CANCELED);
	self->canceldisable = PTHREAD_CANCEL_DISABLE;
	return -ECANCELED;
}

long __libos_cp(__libos_call call, long a, long b, long c, long d, long e, long f)
{
	pthread_t self = __pthread_self();
	long r;

	if (self->canceldisable == PTHREAD_CANCEL_DISABLE)
		return call(a, b, c, d, e, f);
	r = __libos_cp_asm(&self->cancel, call, a, b, c, d, e, f);
	if (r == -EINTR && self->cancel && self->canceldisable != PTHREAD_CANCEL_DISABLE)
		r = __cancel();
	return r;
}

/* close() releases the descriptor even when it fails: only a cancellation that came first may stop it. */
long __libos_cp_close(__libos_call call, long a, long b, long c, long d, long e, long f)
{
	pthread_t self = __pthread_self();

	if (self->canceldisable)
		return call(a, b, c, d, e, f);
	return __libos_cp_asm(&self->cancel, call, a, b, c, d, e, f);
}

static void cancel_handler(int sig, siginfo_t *si, void *context)
{
	enum { RET = 0xc3 };
	pthread_t self = __pthread_self();
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	uintptr_t pc = regs[REG_RIP];
	const uintptr_t *sp = (const void *)regs[REG_RSP];

	a_barrier();
	if (!self->cancel || self->canceldisable == PTHREAD_CANCEL_DISABLE)
		return;
	/* sigaddset() refuses libc's own signals. */
	uc->uc_sigmask.__bits[0] |= 1UL << (SIGCANCEL - 1);

	if (pc >= (uintptr_t)__cp_begin && pc < (uintptr_t)__cp_end) {
		regs[REG_RIP] = (uintptr_t)__cp_cancel;
	} else if (*sp == (uintptr_t)__cp_end && *(const unsigned char *)pc != RET) {
		regs[REG_RSP] = (uintptr_t)(sp + 1);
		regs[REG_RIP] = (uintptr_t)__cp_cancel;
	} else if (self->cancelasync) {
		/* Anywhere else: stay clear of the red zone, and give __cp_cancel the stack that it expects. */
		regs[REG_RSP] = (((uintptr_t)sp - 128) & -16UL);
		regs[REG_RIP] = (uintptr_t)__cp_cancel;
	} else {
		__syscall(SYS_tkill, self->tid, SIGCANCEL);
	}
}

void __testcancel(void)
{
	pthread_t self = __pthread_self();
	if (self->cancel && !self->canceldisable)
		__cancel();
}

static void install_handler(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART, .sa_sigaction = cancel_handler };
	memset(&sa.sa_mask, -1, _NSIG / 8);
	__libc_sigaction(SIGCANCEL, &sa, 0);
}

int pthread_cancel(pthread_t t)
{
	static int installed;
	if (!installed) {
		install_handler();
		installed = 1;
	}
	a_store(&t->cancel, 1);
	if (t == pthread_self()) {
		if (t->canceldisable == PTHREAD_CANCEL_ENABLE && t->cancelasync)
			pthread_exit(PTHREAD_CANCELED);
		return 0;
	}
	return pthread_kill(t, SIGCANCEL);
}
