/*
 * musl's start, without its reference to open(): that call would pull the whole file system into every image. It is
 * needed only for set-id programs, which exist only as Linux processes, so in that case it is made directly.
 */
#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include "syscall.h"
#include "atomic.h"
#include "libc.h"

extern weak hidden void (*const __init_array_start)(void), (*const __init_array_end)(void);

static void nothing(void) {}
static void nothing_with(void *p) { (void)p; }
weak_alias(nothing, _init);
weak_alias(nothing_with, __init_ssp);

static long linux_call(long number, long a, long b, long c)
{
	long result = number;
	__asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

/* Descriptors 0 to 2 must be open before a privileged program opens its own files. */
static void guard_standard_descriptors(void)
{
	struct pollfd fds[3] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };

	if (linux_call(SYS_poll, (long)fds, 3, 0) < 0)
		a_crash();
	for (int i = 0; i < 3; i++)
		if ((fds[i].revents & POLLNVAL) && linux_call(SYS_open, (long)"/dev/null", O_RDWR, 0) < 0)
			a_crash();
}

#define AUX_KNOWN 38

/* Out of line, so that its frame does not stay on the stack for the program's lifetime. */
__attribute__((__noinline__)) void __init_libc(char **envp, char *name)
{
	size_t aux[AUX_KNOWN] = { 0 };
	char **end = envp;

	__environ = envp;
	while (*end)
		end++;
	libc.auxv = (size_t *)(end + 1);
	for (size_t *pair = libc.auxv; pair[0]; pair += 2)
		if (pair[0] < AUX_KNOWN)
			aux[pair[0]] = pair[1];
	__hwcap = aux[AT_HWCAP];
	__sysinfo = aux[AT_SYSINFO];
	libc.page_size = aux[AT_PAGESZ];

	if (!name)
		name = aux[AT_EXECFN] ? (char *)aux[AT_EXECFN] : "";
	__progname = __progname_full = name;
	for (char *c = name; *c; c++)
		if (*c == '/')
			__progname = c + 1;

	__init_tls(aux);
	__init_ssp((void *)aux[AT_RANDOM]);
	if (aux[AT_SECURE] || aux[AT_UID] != aux[AT_EUID] || aux[AT_GID] != aux[AT_EGID]) {
		guard_standard_descriptors();
		libc.secure = 1;
	}
}

static void run_initialisers(void)
{
	_init();
	for (void (*const *f)(void) = &__init_array_start; f < &__init_array_end; f++)
		(*f)();
}
weak_alias(run_initialisers, __libc_start_init);

static int run(int (*main)(int, char **, char **), int argc, char **argv)
{
	__libc_start_init();
	exit(main(argc, argv, argv + argc + 1));
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(), void (*fini)(),
	void (*ldso_fini)())
{
	int (*volatile next)(int (*)(int, char **, char **), int, char **) = run;

	(void)init, (void)fini, (void)ldso_fini;
	__init_libc(argv + argc + 1, argv[0]);
	/* Through a volatile pointer: nothing that uses the thread pointer or the canary may be moved ahead of the above. */
	return next(main, argc, argv);
}
