/*
 * The end of a program whose memory is damaged. abort() would link signal handling into programs that have none, so the
 * signal is raised without it: as a Linux process by system calls made here, in a VM by a trap that the kernel takes
 * for SIGABRT, which also gives the crash report its reason.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/uio.h>
#include "syscall.h"
#include "atomic.h"
#include "die.h"

extern hidden unsigned char libos_hosted;
extern hidden const char __image_start[];

/* In the kernel. The first time, a handler may run; `last` ends the program. */
hidden void libos_die(enum die_reason, const void *, int last);

static long linux_call(long number, long a, long b, long c, long d)
{
	long result = number;
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return result;
}

static void raise_hosted(int last)
{
	/* The kernel's form: handler, flags, restorer, mask. */
	long standard[4] = { 0 };
	uint64_t set = 1UL << (SIGABRT - 1);

	if (last) {
		linux_call(SYS_rt_sigaction, SIGABRT, (long)standard, 0, sizeof set);
		linux_call(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&set, 0, sizeof set);
	}
	linux_call(SYS_tkill, linux_call(SYS_gettid, 0, 0, 0, 0), SIGABRT, 0, 0);
}

void __libos_die(enum die_reason reason, const void *where)
{
	static const char said[][40] = {
		"*** stack smashing detected *** in <0x", "*** double free of 0x", "*** invalid free: no block at 0x",
	};
	uintptr_t n = (uintptr_t)where;
	char digits[16], *d = digits + sizeof digits;
	struct iovec line[3] = { { (void *)said[reason], 0 } };

	/* Code addresses are those in the ELF file, as in the kernel's reports: linked at 2 MiB (unibody.ld). */
	if (reason == DIE_STACK)
		n -= (uintptr_t)__image_start - 0x200000;
	do
		*--d = "0123456789abcdef"[n & 15];
	while (n >>= 4);
	line[1].iov_base = d;
	line[1].iov_len = digits + sizeof digits - d;
	while (said[reason][line[0].iov_len])
		line[0].iov_len++;
	line[2].iov_base = reason == DIE_STACK ? ">\n" : "\n";
	line[2].iov_len = 1 + (reason == DIE_STACK);
	__syscall(SYS_writev, 2, line, 3);
	for (int last = 0; last < 2; last++)
		if (libos_hosted)
			raise_hosted(last);
		else
			libos_die(reason, where, last);
	a_crash();
	for (;;);
}
