/* Shared by the test programs: prints facts that must be the same in both lives of an image.
 *
 * SHOW(expr)   prints "expr = value", or "expr = -1 ENAME" when a call failed
 * IS(cond)     prints "cond: yes"; a "no" also makes the program's exit status 1
 * MUST(expr)   ends the program when a step that the test merely needs has failed
 * return done()  at the end of main
 *
 * Only deterministic facts may be printed: no addresses, times, process ids or counts that depend on the machine.
 */
#ifndef TEST_H
#define TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static UNUSED int test_failures;

static UNUSED const char *errname(int e)
{
    static const struct { int e; const char *name; } table[] = {
#define E(x) { x, #x }
        E(EPERM), E(ENOENT), E(ESRCH), E(EINTR), E(EIO), E(ENXIO), E(E2BIG), E(ENOEXEC), E(EBADF), E(ECHILD), E(EAGAIN),
        E(ENOMEM), E(EACCES), E(EFAULT), E(EBUSY), E(EEXIST), E(EXDEV), E(ENODEV), E(ENOTDIR), E(EISDIR), E(EINVAL),
        E(ENFILE), E(EMFILE), E(ENOTTY), E(ETXTBSY), E(EFBIG), E(ENOSPC), E(ESPIPE), E(EROFS), E(EMLINK), E(EPIPE),
        E(EDOM), E(ERANGE), E(EDEADLK), E(ENAMETOOLONG), E(ENOLCK), E(ENOSYS), E(ENOTEMPTY), E(ELOOP), E(EOVERFLOW),
        E(EILSEQ), E(ENOTSOCK), E(EDESTADDRREQ), E(EMSGSIZE), E(EPROTOTYPE), E(ENOPROTOOPT), E(EPROTONOSUPPORT),
        E(EOPNOTSUPP), E(EAFNOSUPPORT), E(EADDRINUSE), E(EADDRNOTAVAIL), E(ENETDOWN), E(ENETUNREACH), E(ECONNABORTED),
        E(ECONNRESET), E(ENOBUFS), E(EISCONN), E(ENOTCONN), E(ETIMEDOUT), E(ECONNREFUSED), E(EHOSTUNREACH), E(EALREADY),
        E(EINPROGRESS), E(ECANCELED), E(EOWNERDEAD), E(ENOTRECOVERABLE), E(ENOMSG), E(EIDRM), E(ENODATA), E(EPROTO),
#undef E
    };
    static _Thread_local char other[16];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].e == e) return table[i].name;
    snprintf(other, sizeof other, "E%d", e);
    return other;
}

static UNUSED long show_call(const char *text, long value)
{
    int e = errno;
    if (value == -1) printf("%s = -1 %s\n", text, errname(e));
    else printf("%s = %ld\n", text, value);
    errno = e;
    return value;
}

/* Calls that return the error number itself, as pthread_* do. */
static UNUSED int show_err(const char *text, int e)
{
    printf("%s = %s\n", text, e ? errname(e) : "0");
    return e;
}

static UNUSED bool is(const char *text, bool ok, int line)
{
    printf("%s: %s\n", text, ok ? "yes" : "no");
    if (!ok) {
        test_failures++;
        fprintf(stderr, "line %d: not true: %s (errno %s)\n", line, text, errname(errno));
    }
    return ok;
}

static UNUSED long must(const char *text, long value, int line)
{
    if (value == -1) {
        printf("line %d: cannot %s: %s\n", line, text, errname(errno));
        fflush(stdout);
        _exit(99);
    }
    return value;
}

#define SHOW(expr) (errno = 0, show_call(#expr, (long)(expr)))
#define SHOWE(expr) show_err(#expr, (expr))
#define IS(cond) is(#cond, (cond), __LINE__)
#define MUST(expr) must(#expr, (long)(expr), __LINE__)
#define MUST0(expr) do { int e_ = (expr); if (e_) { errno = e_; must(#expr, -1, __LINE__); } } while (0)

static UNUSED void section(const char *name) { printf("-- %s\n", name); }

static UNUSED int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static UNUSED void sleep_ms(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&t, &t) == -1 && errno == EINTR) {}
}

/* Processor time. */
static UNUSED int64_t used_ns(clockid_t clock)
{
    struct timespec t;
    MUST(clock_gettime(clock, &t));
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Computes for so long, by the thread's own processor time. */
static UNUSED void compute_ms(long ms)
{
    int64_t end = used_ns(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000;
    while (used_ns(CLOCK_THREAD_CPUTIME_ID) < end) {}
}

/* A private folder to work in; it becomes the current directory. TEST_SCRATCH says where ("//@ disk": on the disk). */
static UNUSED void enter_scratch(void)
{
    const char *place = getenv("TEST_SCRATCH");
    char name[256];
    snprintf(name, sizeof name, "%s/unibody-test-XXXXXX", place ? place : "/tmp");
    umask(022);
    if (!mkdtemp(name) || chdir(name)) {
        printf("no scratch folder: %s\n", errname(errno));
        fflush(stdout);
        _exit(99);
    }
}

// Whether this is the VM and not the Linux process.
static UNUSED int in_vm(void)
{
    struct utsname u;
    return !uname(&u) && strstr(u.version, "unibody");
}

/* Ends a program that would use up the memory of a Linux machine, or change its settings. */
static UNUSED void only_in_vm(void)
{
    if (!in_vm()) {
        puts("only in a VM");
        _exit(99);
    }
}

static UNUSED int done(void)
{
    fflush(stdout);
    return test_failures ? 1 : 0;
}

/* Whole lines reach the host even when the program dies on purpose. */
__attribute__((constructor)) static UNUSED void test_line_buffer(void) { setvbuf(stdout, 0, _IOLBF, 0); }

#endif
