// Thousands of file operations by changing users, with changing capabilities: all drawn from a fixed sequence.
//@ user root
//@ timeout 120
#include "cred.h"
#include <dirent.h>

enum { STEPS = 6000, USERS = 4, NAMES = 5 };
static const unsigned users[USERS] = { 0, 33, 1000, 1001 };
static const unsigned groups[USERS] = { 0, 33, 50, 100 };
static const char *const dirs[] = { ".", "d", "d/e", "f", "f/g" };
static const char *const names[NAMES] = { "a", "b", "e", "g", "l" };
// With set-ID bits; not sticky, where Linux's answers depend on how it is set up.
static const unsigned modes[] = { 0, 0400, 0444, 0600, 0640, 0644, 0660, 0666, 0700, 0711, 0750, 0755, 0770, 0777,
    0070, 0007, 0300, 0500, 02755, 02770, 04755, 02644, 06755, 02777 };
enum { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_SETGID = 6, CAP_SETUID };
struct header { uint32_t version; int pid; };
struct data { uint32_t effective, permitted, inheritable; };
static const int caps[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID };

static uint64_t state = 88172645463325252u;
static unsigned draw(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 20) % n;
}
#define ONE_OF(list) ((list)[draw(sizeof(list) / sizeof *(list))])

static const char *path(char *into)
{
    if (draw(5) == 0) strcpy(into, ONE_OF(dirs));
    else sprintf(into, "%s/%s", ONE_OF(dirs), ONE_OF(names));
    return into;
}

static void back(void)
{
    MUST(syscall(SYS_setresuid, 0, 0, 0));
    MUST(syscall(SYS_setresgid, 0, 0, 0));
    MUST(setgroups(0, 0));
}
// Another user, perhaps with some capabilities.
static void change(void)
{
    back();
    unsigned u = ONE_OF(users), g = ONE_OF(groups), n = draw(3);
    gid_t more[2] = { ONE_OF(groups), ONE_OF(groups) };
    MUST(setgroups(n, more));
    MUST(syscall(SYS_setresgid, -1, g, -1));
    if (draw(8) == 0) setfsgid(ONE_OF(groups));
    MUST(syscall(SYS_setresuid, draw(6) ? ~0u : ONE_OF(users), u, 0));
    printf("user %u group %u and %u", u, g, n);
    if (draw(8) == 0) {
        u = ONE_OF(users);
        setfsuid(u);
        printf(", files %u", u);
    }
    if (draw(4) == 0) {
        struct header h = { 0x20080522, 0 };
        struct data d[2];
        MUST(syscall(SYS_capget, &h, d));
        // Those that are needed to come back.
        d[0].effective = 1 << CAP_SETUID | 1 << CAP_SETGID;
        for (unsigned i = 0; i < sizeof caps / sizeof *caps; i++)
            if (draw(3) == 0) d[0].effective |= 1u << caps[i];
        printf(", capabilities %x", d[0].effective);
        MUST(syscall(SYS_capset, &h, d));
    }
    mode_t mask = ONE_OF(((const mode_t[]){ 0, 022, 077, 027, 0777 }));
    umask(mask);
    printf(", umask %o\n", mask);
}

static void result(long r)
{
    if (r == -1) printf("-%s\n", errname(errno));
    else printf("%ld\n", r);
}
static void show(const char *p)
{
    struct stat s;
    if (lstat(p, &s)) printf(" %s %s", p, errname(errno));
    else printf(" %s %o %u %u", p, s.st_mode, s.st_uid, s.st_gid);
}
static long opened(int fd)
{
    struct stat s;
    if (fd < 0) return -1;
    MUST(fstat(fd, &s));
    printf("(%o %u %u) ", s.st_mode, s.st_uid, s.st_gid);
    close(fd);
    return 0;
}

static void step(void)
{
    char a[32], b[32];
    unsigned m = ONE_OF(modes);
    path(a);
    path(b);
    struct timespec times[2] = { { 100, 0 }, { 200, 0 } }, now[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
    static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_APPEND, O_PATH,
        O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW, O_RDONLY | O_NOATIME };
    switch (draw(22)) {
    case 0: case 1: {
        int f = ONE_OF(flags);
        printf("open %s %x ", a, f & ~O_LARGEFILE);
        result(opened(open(a, f | O_NONBLOCK)));
        break;
    }
    case 2: case 3: {
        int f = O_CREAT | ONE_OF(((const int[]){ O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_EXCL, O_WRONLY | O_TRUNC }));
        printf("create %s %x %o ", a, f & ~O_LARGEFILE, m);
        result(opened(open(a, f | O_NONBLOCK, m)));
        break;
    }
    case 4: printf("mkdir %s %o ", a, m); result(mkdir(a, m)); break;
    case 5: printf("rmdir %s ", a); result(rmdir(a)); break;
    case 6: printf("unlink %s ", a); result(unlink(a)); break;
    case 7: printf("rename %s %s ", a, b); result(rename(a, b)); break;
    case 8: printf("link %s %s ", a, b); result(link(a, b)); break;
    case 9: printf("symlink %s ", a); result(symlink(ONE_OF(names), a)); break;
    case 10: case 11: printf("chmod %s %o ", a, m); result(chmod(a, m)); break;
    case 12: case 13: {
        int u = draw(3) ? (int)ONE_OF(users) : -1, g = draw(3) ? (int)ONE_OF(groups) : -1;
        printf("chown %s %d %d ", a, u, g);
        result(draw(2) ? chown(a, u, g) : lchown(a, u, g));
        break;
    }
    case 14: {
        int how = draw(8);
        printf("access %s %d ", a, how);
        result(access(a, how));
        break;
    }
    case 15: {
        int how = draw(8);
        printf("effective access %s %d ", a, how);
        result(syscall(439, AT_FDCWD, a, how, AT_EACCESS));
        break;
    }
    case 16: printf("times %s ", a); result(utimensat(AT_FDCWD, a, times, 0)); break;
    case 17: printf("touch %s ", a); result(utimensat(AT_FDCWD, a, draw(2) ? 0 : now, AT_SYMLINK_NOFOLLOW)); break;
    case 18: printf("truncate %s ", a); result(truncate(a, draw(100))); break;
    case 19: {
        struct stat s;
        printf("stat %s ", a);
        result(stat(a, &s));
        break;
    }
    case 20: {
        DIR *d = opendir(a);
        printf("list %s ", a);
        result(d ? closedir(d) : -1);
        break;
    }
    case 21: {
        printf("fifo %s %o ", a, m);
        result(mkfifo(a, m));
        break;
    }
    }
    show(a);
    putchar('\n');
}

int main(void)
{
    enter_scratch();
    MUST(chmod(".", 0777));
    setvbuf(stdout, 0, _IOFBF, 1 << 16);
    for (int i = 0; i < STEPS; i++) {
        if (i % 120 == 0) {
            // A tree that can be worked in again.
            back();
            umask(0);
            for (unsigned d = 1; d < sizeof dirs / sizeof *dirs; d++) {
                mkdir(dirs[d], 0777);
                chmod(dirs[d], d % 2 ? 0777 : 02777);
            }
        }
        if (i % 4 == 0) change();
        step();
    }
    back();
    return done();
}
