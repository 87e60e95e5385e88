// inotify: which events occur when, in which order, and what happens to watches.
//@ shows inotify_init1 inotify_add_watch inotify_rm_watch
#include "test.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int in;
static uint32_t cookie;

static const char *event(uint32_t mask)
{
    static char text[200];
    static const struct { uint32_t bit; const char *name; } names[] = {
        { IN_ACCESS, "ACCESS" }, { IN_MODIFY, "MODIFY" }, { IN_ATTRIB, "ATTRIB" }, { IN_CLOSE_WRITE, "CLOSE_WRITE" },
        { IN_CLOSE_NOWRITE, "CLOSE_NOWRITE" }, { IN_OPEN, "OPEN" }, { IN_MOVED_FROM, "MOVED_FROM" },
        { IN_MOVED_TO, "MOVED_TO" }, { IN_CREATE, "CREATE" }, { IN_DELETE, "DELETE" }, { IN_DELETE_SELF, "DELETE_SELF" },
        { IN_MOVE_SELF, "MOVE_SELF" }, { IN_Q_OVERFLOW, "Q_OVERFLOW" }, { IN_IGNORED, "IGNORED" }, { IN_ISDIR, "ISDIR" },
    };
    text[0] = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mask & names[i].bit) strcat(strcat(text, text[0] ? "|" : ""), names[i].name);
    return text;
}

static void happened(const char *what)
{
    static char buf[65536] __attribute__((aligned(8)));
    printf("%s:\n", what);
    for (;;) {
        ssize_t n = read(in, buf, sizeof buf);
        if (n < 0) {
            if (errno != EAGAIN) printf("  %s\n", errname(errno));
            return;
        }
        for (char *p = buf; p < buf + n;) {
            struct inotify_event *e = (void *)p;
            printf("  %d %s", e->wd, event(e->mask));
            if (e->len) printf(" %s (%u)", e->name, e->len);
            if (e->mask & IN_MOVED_FROM) cookie = e->cookie, printf(" from");
            else if (e->mask & IN_MOVED_TO) printf(" %s", e->cookie == cookie ? "the same" : "another");
            else if (e->cookie) printf(" cookie?");
            printf("\n");
            p += sizeof *e + e->len;
        }
    }
}

static void *later(void *arg)
{
    usleep(100000);
    MUST(close(open(arg, O_CREAT | O_WRONLY, 0644)));
    return NULL;
}

int main(void)
{
    char buf[300];
    int fd, n;
    enter_scratch();
    SHOW(inotify_init1(1));
    in = (int)MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    IS(fcntl(in, F_GETFD) == FD_CLOEXEC);
    MUST(mkdir("d", 0755));
    SHOW(inotify_add_watch(in, "none", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(in, "d", 0));
    SHOW(inotify_add_watch(0, "d", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(-1, "d", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(in, "d", IN_ALL_EVENTS | IN_MASK_CREATE));
    SHOW(inotify_add_watch(in, "d", IN_ALL_EVENTS | IN_MASK_CREATE | IN_MASK_ADD));
    happened("nothing yet");

    fd = (int)MUST(open("d/f", O_RDWR | O_CREAT, 0644));
    happened("created");
    MUST(write(fd, "one", 3)), MUST(write(fd, "two", 3));
    happened("written twice");
    MUST(write(fd, "", 0)), MUST(pread(fd, buf, 3, 0)), MUST(read(fd, buf, 1));
    happened("read, and at the end");
    MUST(ftruncate(fd, 2)), MUST(fchmod(fd, 0600));
    happened("truncated, mode changed");
    MUST(futimens(fd, NULL));
    struct timespec t[2] = { { 1, 0 }, { 0, UTIME_OMIT } };
    MUST(futimens(fd, t));
    happened("times");
    MUST(close(fd)), MUST(close(open("d/f", O_RDONLY)));
    happened("closed, opened and closed");
    MUST(close(open("d/f", O_WRONLY | O_TRUNC))), MUST(truncate("d/f", 5));
    happened("truncated by open, by name");
    MUST(close(open("d/f", O_PATH)));
    happened("O_PATH");
    MUST(mkdir("d/sub", 0755)), MUST(symlink("f", "d/l")), MUST(link("d/f", "d/g")), MUST(mknod("d/p", S_IFIFO | 0600, 0));
    happened("other kinds");
    MUST(rename("d/f", "d/h")), MUST(rename("d/h", "out")), MUST(rename("out", "d/f"));
    happened("moved inside, out, in");
    MUST(rename("d/f", "d/p"));
    happened("moved over another");
    MUST(unlink("d/p")), MUST(unlink("d/g")), MUST(unlink("d/l")), MUST(rmdir("d/sub"));
    happened("removed");
    DIR *dir = opendir("d");
    while (readdir(dir)) {}
    closedir(dir);
    happened("listed");

    // A file that is watched itself, and its directory.
    MUST(close(open("d/w", O_CREAT | O_WRONLY, 0644)));
    happened("another");
    n = (int)SHOW(inotify_add_watch(in, "d/w", IN_ALL_EVENTS));
    MUST(chmod("d/w", 0600)), MUST(link("d/w", "second")), MUST(rename("d/w", "d/v"));
    happened("mode, link, name");
    fd = (int)MUST(open("d/v", O_WRONLY)), MUST(unlink("d/v")), MUST(write(fd, "x", 1));
    happened("unlinked while open, with another name");
    MUST(unlink("second"));
    happened("the other name");
    MUST(close(fd));
    happened("closed");
    SHOW(inotify_rm_watch(in, n));
    MUST(close(open("d/w", O_CREAT | O_WRONLY, 0644)));
    happened("made again");
    n = (int)SHOW(inotify_add_watch(in, "d/w", IN_DELETE_SELF | IN_ATTRIB));
    MUST(unlink("d/w"));
    happened("removed at once");

    // Kinds of watches.
    MUST(close(open("d/w", O_CREAT | O_WRONLY, 0644)));
    happened("again");
    SHOW(inotify_add_watch(in, "d/w", IN_ONLYDIR | IN_OPEN));
    SHOW(inotify_add_watch(in, "d", IN_CREATE));
    MUST(close(open("d/w", O_RDONLY)));
    happened("creation only");
    SHOW(inotify_add_watch(in, "d", IN_OPEN | IN_MASK_ADD));
    MUST(close(open("d/x", O_CREAT | O_WRONLY, 0644)));
    happened("and opening");
    SHOW(inotify_add_watch(in, "d", IN_OPEN | IN_ONESHOT));
    MUST(close(open("d/w", O_RDONLY))), MUST(close(open("d/w", O_RDONLY)));
    happened("once");
    MUST(symlink("w", "d/l"));
    n = (int)SHOW(inotify_add_watch(in, "d/l", IN_ATTRIB | IN_DELETE_SELF | IN_DONT_FOLLOW));
    MUST(chmod("d/w", 0644)), MUST(unlink("d/l"));
    happened("the link itself");
    n = (int)SHOW(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    SHOW(inotify_rm_watch(in, n));
    SHOW(inotify_rm_watch(in, n));
    happened("taken off");
    SHOW(inotify_add_watch(in, "d", IN_MODIFY | IN_EXCL_UNLINK));
    fd = (int)MUST(open("d/x", O_WRONLY));
    MUST(write(fd, "a", 1)), MUST(unlink("d/x")), MUST(write(fd, "b", 1)), MUST(close(fd));
    happened("not when unlinked");

    // The directory is removed.
    MUST(unlink("d/w"));
    SHOW(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    MUST(rename("d", "e"));
    happened("the directory moved");
    MUST(rmdir("e"));
    happened("the directory removed");

    // The queue as a file.
    MUST(mkdir("q", 0755));
    SHOW(inotify_add_watch(in, "q", IN_CREATE | IN_DELETE));
    MUST(mkdir("q/name", 0755));
    MUST(ioctl(in, FIONREAD, &n));
    printf("bytes %d\n", n);
    SHOW(read(in, buf, 16));
    SHOW(read(in, buf, 31));
    SHOW(read(in, buf, 32));
    SHOW(read(in, buf, 32));
    SHOW(write(in, buf, 1));
    struct pollfd p = { in, POLLIN, 0 };
    SHOW(poll(&p, 1, 0));
    pthread_t thread;
    pthread_create(&thread, NULL, later, "q/later");
    SHOW(poll(&p, 1, 5000));
    pthread_join(thread, NULL);
    happened("polled");
    MUST(fcntl(in, F_SETFL, 0));
    pthread_create(&thread, NULL, later, "q/latest");
    SHOW(read(in, buf, sizeof buf));
    pthread_join(thread, NULL);
    MUST(fcntl(in, F_SETFL, O_NONBLOCK));
    for (int i = 0; i < 100; i++) MUST(mkdir("q/many", 0755)), MUST(rmdir("q/many"));
    MUST(ioctl(in, FIONREAD, &n));
    printf("bytes %d\n", n);
    // A full queue reports an overflow once, and works again after it was read.
    static char all[1 << 20] __attribute__((aligned(8)));
    while (read(in, all, sizeof all) > 0) {}
    int limit = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY);
    ssize_t got = MUST(read(limit, buf, sizeof buf - 1));
    buf[got] = 0;
    int most = atoi(buf), events = 0, lost = 0, last = 0;
    for (int i = 0; i < most / 2 + 10; i++) MUST(mkdir("q/x", 0755)), MUST(rmdir("q/x"));
    while ((got = read(in, all, sizeof all)) > 0)
        for (char *at = all; at < all + got;) {
            struct inotify_event *e = (void *)at;
            events++;
            last = e->mask == IN_Q_OVERFLOW;
            if (last) lost++, printf("overflow %d %u %u\n", e->wd, e->cookie, e->len);
            at += sizeof *e + e->len;
        }
    IS(events == most + 1 && lost == 1 && last);
    MUST(mkdir("q/after", 0755));
    happened("after the overflow");
    // Watched directories that are moved: the watch moves along.
    MUST(mkdir("q/a", 0755)), MUST(mkdir("q/b", 0755)), MUST(mkdir("q/a/w", 0755)), MUST(mkdir("q/b/old", 0755));
    happened("made");
    SHOW(inotify_add_watch(in, "q/a/w", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(in, "q/b/old", IN_ALL_EVENTS));
    MUST(rename("q/a/w", "q/b/w"));
    happened("moved to another directory");
    MUST(close(open("q/b/w/f", O_CREAT | O_WRONLY, 0644)));
    happened("used there");
    MUST(rename("q/a", "q/c")), MUST(rename("q/b", "q/a"));
    happened("what is above moved");
    MUST(unlink("q/a/w/f")), MUST(rename("q/a/w", "q/a/old"));
    happened("moved over a watched one");
    fd = (int)MUST(open("q/a/old", O_RDONLY)), MUST(rmdir("q/a/old"));
    happened("removed while open");
    MUST(close(fd));
    happened("closed");
    SHOW(close(in));
    return done();
}
