// openat2 and its RESOLVE_ flags: what a walk may cross.
//@ shows openat2
#include "test.h"
#include <sys/syscall.h>

struct open_how { uint64_t flags, mode, resolve; };
enum { NO_XDEV = 1, NO_MAGICLINKS = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16, CACHED = 32 };

static long open_by(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = { flags, flags & O_CREAT ? 0600 : 0, resolve };
    long fd = syscall(437, dir, path, &how, sizeof how);
    if (fd >= 0) close((int)fd);
    return fd >= 0 ? 0 : fd;
}

int main(void)
{
    enter_scratch();
    MUST(mkdir("d", 0755)), MUST(mkdir("d/e", 0755));
    MUST(symlink("e", "d/rel")), MUST(symlink("/etc", "d/abs")), MUST(symlink("..", "d/up"));
    MUST(symlink("../../d/e", "d/e/out"));
    MUST(close(open("d/e/f", O_CREAT | O_RDWR, 0644)));
    int d = (int)MUST(open("d", O_RDONLY | O_DIRECTORY));

    section("no links");
    SHOW(open_by(d, "rel/f", O_RDONLY, 0));
    SHOW(open_by(d, "rel/f", O_RDONLY, NO_SYMLINKS));
    SHOW(open_by(d, "e/f", O_RDONLY, NO_SYMLINKS));
    SHOW(open_by(d, "rel", O_PATH | O_NOFOLLOW, NO_SYMLINKS));
    SHOW(open_by(d, "rel", O_PATH, NO_SYMLINKS));
    SHOW(open_by(AT_FDCWD, "/proc/self/fd/0", O_RDONLY, NO_MAGICLINKS));

    section("beneath");
    SHOW(open_by(d, "rel/f", O_RDONLY, BENEATH));
    SHOW(open_by(d, "abs", O_RDONLY, BENEATH));
    SHOW(open_by(d, "/etc", O_RDONLY, BENEATH));
    SHOW(open_by(d, "up", O_RDONLY, BENEATH));
    SHOW(open_by(d, "..", O_RDONLY, BENEATH));
    SHOW(open_by(d, "e/../e/f", O_RDONLY, BENEATH));
    SHOW(open_by(d, "e/out", O_RDONLY, BENEATH));
    SHOW(open_by(d, "e/../../d/e", O_RDONLY, BENEATH));
    SHOW(open_by(d, "new", O_CREAT | O_WRONLY, BENEATH));
    SHOW(open_by(d, "../new", O_CREAT | O_WRONLY, BENEATH));
    SHOW(open_by(d, "e", O_TMPFILE | O_RDWR, BENEATH));

    section("in a root");
    SHOW(open_by(d, "/e/f", O_RDONLY, IN_ROOT));
    SHOW(open_by(d, "../e/f", O_RDONLY, IN_ROOT));
    SHOW(open_by(d, "abs", O_RDONLY, IN_ROOT));
    SHOW(open_by(d, "up/e", O_RDONLY, IN_ROOT));
    SHOW(open_by(d, "e/out", O_RDONLY, IN_ROOT));
    SHOW(open_by(d, "e/f", O_RDONLY, IN_ROOT | BENEATH));

    section("mounts");
    SHOW(open_by(AT_FDCWD, "/proc/version", O_RDONLY, NO_XDEV));
    SHOW(open_by(AT_FDCWD, "/proc", O_RDONLY, NO_XDEV));
    SHOW(open_by(d, "e/f", O_RDONLY, NO_XDEV));

    section("arguments");
    SHOW(open_by(d, "e/f", O_RDONLY, CACHED));
    SHOW(open_by(d, "other", O_CREAT | O_RDWR, CACHED));
    SHOW(open_by(d, "e/f", O_RDONLY, 0x100));
    SHOW(open_by(d, "e/f", 1ull << 40, 0));
    struct open_how how = { O_RDONLY, 0600, 0 };
    SHOW(syscall(437, d, "e/f", &how, sizeof how));
    SHOW(syscall(437, d, "e/f", &how, 8L));
    return done();
}
