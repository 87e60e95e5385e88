// FIFOs and other nodes, umask, and reading a directory while it changes.
//@ shows mknod
#include "test.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

static void *writer(void *path)
{
    sleep_ms(100);
    int fd = (int)MUST(open(path, O_WRONLY));
    MUST(write(fd, "hi", 2));
    MUST(close(fd));
    return NULL;
}

static int count(DIR *dir, const char *seen)
{
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        n++;
        if (seen && seen[atoi(e->d_name)]) printf("%s comes again\n", e->d_name);
    }
    return n;
}

int main(void)
{
    char buf[300], seen[60] = "";
    struct stat st;
    pthread_t thread;
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);

    section("fifo");
    SHOW(mkfifo("p", 0666));
    MUST(stat("p", &st));
    printf("%o\n", st.st_mode);
    SHOW(mkfifo("p", 0600));
    SHOW(open("p", O_WRONLY | O_NONBLOCK));
    int r = (int)MUST(open("p", O_RDONLY | O_NONBLOCK));
    SHOW(read(r, buf, 10));
    int w = (int)MUST(open("p", O_WRONLY | O_NONBLOCK));
    SHOW(read(r, buf, 10));
    SHOW(write(w, "abc", 3));
    SHOW(read(r, buf, 10));
    struct pollfd pf = { r, POLLIN, 0 };
    SHOW(poll(&pf, 1, 0));
    MUST(close(w));
    SHOW(poll(&pf, 1, 0));
    printf("%x\n", pf.revents);
    SHOW(read(r, buf, 10));
    w = (int)MUST(open("p", O_WRONLY));
    MUST(close(r));
    SHOW(write(w, "x", 1));
    MUST(close(w));
    pthread_create(&thread, NULL, writer, "p");
    r = (int)MUST(open("p", O_RDONLY));
    SHOW(read(r, buf, 10));
    pthread_join(thread, NULL);
    SHOW(read(r, buf, 10));
    SHOW(lseek(r, 0, SEEK_CUR));
    SHOW(ftruncate(r, 0));
    SHOW(truncate("p", 0));
    int both = (int)MUST(open("p", O_RDWR));
    SHOW(write(both, "self", 4));
    SHOW(read(both, buf, 10));
    SHOW(unlink("p"));
    SHOW(write(both, "on", 2));

    section("other nodes");
    SHOW(mknod("f", S_IFREG | 0640, 0));
    SHOW(mknod("f", S_IFREG | 0640, 0));
    SHOW(mknod("d", S_IFDIR | 0640, 0));
    SHOW(mknod("s", S_IFSOCK | 0640, 0));
    SHOW(open("s", O_RDONLY));
    SHOW(mknod("none/x", S_IFIFO, 0));
    SHOW(mknod("y", 0170000 | 0600, 0));

    section("umask");
    SHOW(umask(077) == 022);
    MUST(close(open("u", O_CREAT | O_RDWR, 0666))), MUST(stat("u", &st));
    printf("%o\n", st.st_mode);
    MUST(mkdir("ud", 01777)), MUST(stat("ud", &st));
    printf("%o\n", st.st_mode);
    MUST(mkfifo("up", 0666)), MUST(stat("up", &st));
    printf("%o\n", st.st_mode);
    SHOW(umask(022) == 077);

    section("a directory that changes");
    MUST(mkdir("many", 0755));
    for (int i = 0; i < 60; i++) {
        snprintf(buf, sizeof buf, "many/%d", i);
        MUST(close(open(buf, O_CREAT | O_RDWR, 0644)));
    }
    DIR *dir = opendir("many");
    struct dirent *e;
    for (int n = 0; n < 30 && (e = readdir(dir));)
        if (e->d_name[0] != '.') seen[atoi(e->d_name)] = 1, n++;
    long at = telldir(dir);
    for (int i = 0; i < 60; i++)
        if (seen[i]) snprintf(buf, sizeof buf, "many/%d", i), MUST(unlink(buf));
    printf("%d left\n", count(dir, seen));
    seekdir(dir, at);
    printf("%d left\n", count(dir, seen));
    rewinddir(dir);
    printf("%d in all\n", count(dir, NULL));
    closedir(dir);
    SHOW(rmdir("many"));
    SHOW(unlink("many"));
    int gone = (int)MUST(open("ud", O_RDONLY));
    MUST(rmdir("ud"));
    SHOW(syscall(SYS_getdents64, gone, buf, 200));
    SHOW(openat(gone, "x", O_CREAT | O_RDWR, 0600));
    MUST(fstat(gone, &st));
    printf("links %d\n", (int)st.st_nlink);
    SHOW(syscall(SYS_getdents64, r, buf, 200));
    return done();
}
