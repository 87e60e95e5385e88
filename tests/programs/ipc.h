/* For tests of interprocess communication. As a Linux process they have a namespace of their own for it, as the VM does,
 * so that what other programs have does not show.
 */
#ifndef IPC_H
#define IPC_H

#include "test.h"
#include <sched.h>
#include <sys/syscall.h>

static char ipc_mounted[256] = "/dev/mqueue";

/* A call that images refuse, for the Linux process. */
static UNUSED long linux_call(long n, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return r;
}

/* Root of a container may lack this one, so nobody has it. */
static UNUSED void without_sys_resource(void)
{
    struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
    struct { uint32_t effective, permitted, inheritable; } data[2];
    MUST(syscall(SYS_capget, &header, data));
    data[0].effective &= ~(1u << 24);
    data[0].permitted &= ~(1u << 24);
    data[0].inheritable &= ~(1u << 24);
    MUST(syscall(SYS_capset, &header, data));
}

static UNUSED void ipc_apart(void)
{
    umask(022);
    without_sys_resource();
    if (in_vm()) return;
    snprintf(ipc_mounted, sizeof ipc_mounted, "/tmp/unibody-queues-XXXXXX");
    const long private_all = 1 << 18 | 1 << 14;
    if (!mkdtemp(ipc_mounted) || linux_call(SYS_unshare, CLONE_NEWIPC | CLONE_NEWNS, 0, 0, 0, 0)
        || linux_call(SYS_mount, (long)"none", (long)"/", 0, private_all, 0)
        || linux_call(SYS_mount, (long)"mqueue", (long)ipc_mounted, (long)"mqueue", 0, 0)) {
        puts("no namespace");
        _exit(99);
    }
}

static UNUSED void ipc_cleanup(void) { if (!in_vm()) { linux_call(SYS_umount2, (long)ipc_mounted, 2, 0, 0, 0); rmdir(ipc_mounted); } }

/* Where queues are files. */
static UNUSED const char *ipc_queues(void)
{
    return ipc_mounted;
}

static UNUSED long read_file(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
    close(fd);
    buf[n < 0 ? 0 : n] = 0;
    return n;
}

static UNUSED int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    int e = errno;
    close(fd);
    errno = e;
    return n < 0 ? -1 : 0;
}

static UNUSED void file_text(const char *path)
{
    char buf[4096];
    long n = read_file(path, buf, sizeof buf);
    printf("%s: %s%s", path, n < 0 ? errname(errno) : buf, n > 0 && buf[n - 1] == '\n' ? "" : "\n");
}

#endif
