// POSIX message queues: names, attributes, limits, priorities, waiting, notification, their file system, who may what.
//@ shows mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
//@ user root
//@ smp 2
#include "ipc.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <dirent.h>

static struct mq_attr attr(long n, long size) { return (struct mq_attr){ .mq_maxmsg = n, .mq_msgsize = size }; }
static long open_raw(const char *name, int flags, int mode, struct mq_attr *a) { return syscall(SYS_mq_open, name, flags, mode, a); }
static void text(mqd_t q)
{
    char line[128] = "";
    lseek(q, 0, SEEK_SET);
    SHOW(read(q, line, sizeof line - 1));
    char *pid = strstr(line, "NOTIFY_PID:");
    if (pid) {
        IS(atoi(pid + 11) == 0 || atoi(pid + 11) == getpid());
        *pid = 0;
    }
    printf("[%s]\n", line);
}
static void attributes(mqd_t q)
{
    struct mq_attr a;
    MUST(mq_getattr(q, &a));
    printf("flags %lo maxmsg %ld msgsize %ld curmsgs %ld\n", a.mq_flags, a.mq_maxmsg, a.mq_msgsize, a.mq_curmsgs);
}
static struct timespec in_ms(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t ns = t.tv_nsec + ms * 1000000;
    return (struct timespec){ t.tv_sec + ns / 1000000000, ns % 1000000000 };
}

static void names(void)
{
    section("names");
    char long_name[400];
    memset(long_name, 'n', sizeof long_name);
    long_name[0] = '/';
    long_name[257] = 0;
    SHOW(mq_open("/none", O_RDWR));
    SHOW(mq_open(long_name, O_RDWR | O_CREAT, 0600, NULL));
    long_name[256] = 0;
    mqd_t q = (mqd_t)MUST(mq_open(long_name, O_RDWR | O_CREAT, 0600, NULL));
    mq_close(q);
    SHOW(mq_unlink(long_name));
    SHOW(mq_open("/", O_RDWR | O_CREAT, 0600, NULL));
    SHOW(open_raw("", O_RDWR | O_CREAT, 0600, NULL));
    SHOW(open_raw("a/b", O_RDWR | O_CREAT, 0600, NULL));
    SHOW(open_raw("/a", O_RDWR | O_CREAT, 0600, NULL));
    SHOW(open_raw(".", O_RDWR, 0600, NULL));
    SHOW(open_raw("..", O_RDWR, 0600, NULL));
    SHOW(open_raw((char *)8, O_RDWR, 0600, NULL));
    SHOW(open_raw("a", O_RDWR | O_CREAT, 0600, (void *)8));
    SHOW(mq_unlink("/none"));
    SHOW(syscall(SYS_mq_unlink, "a/b"));
    SHOW(syscall(SYS_mq_unlink, ""));
    q = (mqd_t)MUST(mq_open("/one", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
    IS(fcntl(q, F_GETFD) == FD_CLOEXEC);
    IS((fcntl(q, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_CREAT | O_EXCL)) == O_RDWR);
    attributes(q);
    SHOW(mq_open("/one", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
    mqd_t again = (mqd_t)MUST(mq_open("/one", O_WRONLY | O_CREAT | O_NONBLOCK, 0600, NULL));
    attributes(again);
    SHOW(mq_send(again, "x", 1, 3));
    SHOW(mq_unlink("/one"));
    SHOW(mq_unlink("/one"));
    char buf[8192];
    unsigned prio = 99;
    SHOW(mq_receive(q, buf, sizeof buf, &prio));
    SHOW(prio);
    mqd_t other = (mqd_t)MUST(mq_open("/one", O_RDWR | O_CREAT | O_NONBLOCK, 0600, NULL));
    SHOW(mq_receive(other, buf, sizeof buf, &prio));
    mq_close(q);
    mq_close(again);
    mq_close(other);
    SHOW(mq_close(other));
    SHOW(mq_unlink("/one"));
}

static void attributes_and_limits(void)
{
    section("attributes and limits");
    MUST(write_file("/proc/sys/fs/mqueue/msg_max", "65536"));
    MUST(write_file("/proc/sys/fs/mqueue/msgsize_max", "16777216"));
    static const long sizes[][2] = { { 0, 8 }, { -1, 8 }, { 8, 0 }, { 8, -1 }, { 65537, 8 }, { 65536, 1 }, { 1, (16 << 20) + 1 }, { 1, 16 << 20 }, { LONG_MAX, LONG_MAX }, { 10, 8192 }, { 3, 5 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct mq_attr a = attr(sizes[i][0], sizes[i][1]);
        printf("%ld of %ld: ", sizes[i][0], sizes[i][1]);
        mqd_t q = (mqd_t)SHOW(mq_open("/sized", O_RDWR | O_CREAT, 0600, &a) < 0 ? -1 : 0);
        q = mq_open("/sized", O_RDWR);
        if (q >= 0) attributes(q);
        for (int fd = 3; fd < 20; fd++) close(fd);
        mq_unlink("/sized");
    }
    MUST(write_file("/proc/sys/fs/mqueue/msg_max", "10"));
    MUST(write_file("/proc/sys/fs/mqueue/msgsize_max", "8192"));
    /* Queues count for the real user: one who has no others. */
    MUST(setresuid(54321, 0, 0));
    struct rlimit limit, old;
    MUST(getrlimit(RLIMIT_MSGQUEUE, &old));
    IS(old.rlim_cur == 819200);
    struct mq_attr a = attr(4, 100);
    limit = old;
    limit.rlim_cur = 4 * 100 + 4 * 48 + 4 * 48;
    MUST(setrlimit(RLIMIT_MSGQUEUE, &limit));
    mqd_t q = (mqd_t)MUST(mq_open("/a", O_RDWR | O_CREAT, 0600, &a));
    SHOW(mq_open("/b", O_RDWR | O_CREAT, 0600, &a));
    struct stat s;
    mq_unlink("/a");
    SHOW(mq_open("/b", O_RDWR | O_CREAT, 0600, &a));
    mq_close(q);
    q = (mqd_t)MUST(mq_open("/b", O_RDWR | O_CREAT, 0600, &a));
    mq_close(q);
    mq_unlink("/b");
    limit.rlim_cur--;
    MUST(setrlimit(RLIMIT_MSGQUEUE, &limit));
    SHOW(mq_open("/b", O_RDWR | O_CREAT, 0600, &a));
    MUST(setrlimit(RLIMIT_MSGQUEUE, &old));
    MUST(setresuid(0, 0, 0));
    SHOW(stat("/proc/sys/fs/mqueue/msg_max", &s));
    IS((s.st_mode & 07777) == 0644);
    static const char *names[] = { "queues_max", "msg_max", "msgsize_max", "msg_default", "msgsize_default" };
    static const char *values[] = { "0", "1", "127", "128", "65536", "65537", "16777216", "16777217", "x", "3" };
    for (int i = 0; i < 5; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/sys/fs/mqueue/%s", names[i]);
        file_text(path);
        if (i == 0) continue;
        char before[32];
        read_file(path, before, sizeof before);
        for (int j = 0; j < 10; j++) printf("%s: %s\n", values[j], write_file(path, values[j]) ? errname(errno) : "written");
        write_file(path, before);
    }
    MUST(write_file("/proc/sys/fs/mqueue/msg_default", "3"));
    MUST(write_file("/proc/sys/fs/mqueue/msgsize_max", "200"));
    q = (mqd_t)MUST(mq_open("/d", O_RDWR | O_CREAT, 0600, NULL));
    attributes(q);
    mq_close(q);
    mq_unlink("/d");
    MUST(write_file("/proc/sys/fs/mqueue/msg_default", "10"));
    MUST(write_file("/proc/sys/fs/mqueue/msgsize_max", "8192"));
    struct mq_attr set = { .mq_flags = O_NONBLOCK, .mq_maxmsg = 77 }, was;
    q = (mqd_t)MUST(mq_open("/d", O_RDWR | O_CREAT, 0600, NULL));
    SHOW(mq_setattr(q, &set, &was));
    printf("was %lo %ld\n", was.mq_flags, was.mq_maxmsg);
    attributes(q);
    set.mq_flags = O_NONBLOCK | O_APPEND;
    SHOW(mq_setattr(q, &set, NULL));
    set.mq_flags = 0;
    SHOW(mq_setattr(q, &set, NULL));
    attributes(q);
    SHOW(mq_setattr(0, &set, NULL));
    SHOW(mq_getattr(-1, &was));
    SHOW(syscall(SYS_mq_getsetattr, q, (void *)8, NULL));
    SHOW(syscall(SYS_mq_getsetattr, q, NULL, (void *)8));
    SHOW(syscall(SYS_mq_getsetattr, q, NULL, NULL));
    mq_close(q);
    mq_unlink("/d");
}

static void order(void)
{
    section("order");
    struct mq_attr a = attr(5, 8);
    mqd_t q = (mqd_t)MUST(mq_open("/order", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &a));
    char buf[8];
    unsigned prio;
    MUST(mq_send(q, "a", 1, 1));
    MUST(mq_send(q, "b", 1, 7));
    MUST(mq_send(q, "c", 1, 1));
    MUST(mq_send(q, "", 0, 32767));
    MUST(mq_send(q, "d", 1, 0));
    SHOW(mq_send(q, "e", 1, 0));
    text(q);
    for (int i = 0; i < 6; i++) {
        long n = SHOW(mq_receive(q, buf, 8, &prio));
        if (n >= 0) printf("%.*s %u\n", (int)n, buf, prio);
    }
    SHOW(mq_send(q, "x", 1, 32768));
    SHOW(mq_send(q, "123456789", 9, 0));
    SHOW(mq_send(q, (void *)8, 8, 0));
    SHOW(mq_receive(q, buf, 7, &prio));
    SHOW(mq_send(-1, "x", 1, 0));
    SHOW(mq_send(1, "x", 1, 0));
    SHOW(mq_receive(0, buf, 8, 0));
    mqd_t r = (mqd_t)MUST(mq_open("/order", O_RDONLY)), w = (mqd_t)MUST(mq_open("/order", O_WRONLY));
    SHOW(mq_send(r, "x", 1, 0));
    SHOW(mq_receive(w, buf, 8, 0));
    MUST(mq_send(w, "lost", 4, 0));
    SHOW(mq_receive(q, (void *)8, 8, 0));
    SHOW(mq_receive(q, buf, 8, 0));
    SHOW(mq_receive(r, buf, 7, 0));
    SHOW(write(q, "x", 1));
    SHOW(fsync(q));
    SHOW(lseek(q, 0, SEEK_END));
    SHOW(fcntl(q, F_SETFL, 0));
    struct timespec bad = { 0, 1000000000 }, negative = { -1, 0 }, past = { 1, 0 }, soon;
    SHOW(mq_timedreceive(q, buf, 8, 0, &bad));
    SHOW(mq_timedreceive(q, buf, 8, 0, &negative));
    SHOW(mq_timedreceive(q, buf, 8, 0, &past));
    MUST(mq_send(q, "x", 1, 0));
    SHOW(mq_timedreceive(q, buf, 8, 0, &bad));
    SHOW(mq_timedreceive(q, buf, 8, 0, &past));
    SHOW(mq_timedsend(q, "x", 1, 0, (void *)8));
    for (int i = 0; i < 5; i++) MUST(mq_send(q, "x", 1, 0));
    int64_t from = now_ns();
    soon = in_ms(50);
    SHOW(mq_timedsend(q, "y", 1, 0, &soon));
    IS(now_ns() - from > 40000000);
    attributes(q);
    for (int i = 0; i < 5; i++) MUST(mq_receive(q, buf, 8, 0));
    from = now_ns();
    soon = in_ms(50);
    SHOW(mq_timedreceive(q, buf, 8, 0, &soon));
    IS(now_ns() - from > 40000000);
    mq_close(q);
    mq_close(r);
    mq_close(w);
    mq_unlink("/order");
}

static mqd_t shared;
static volatile int entered;
static void *receiver(void *arg)
{
    char buf[8];
    (void)arg;
    __atomic_add_fetch(&entered, 1, __ATOMIC_SEQ_CST);
    ssize_t n = mq_receive(shared, buf, sizeof buf, 0);
    return (void *)(intptr_t)(n == 1 ? buf[0] : -errno);
}
static void *sender(void *arg)
{
    char c = (char)(intptr_t)arg;
    __atomic_add_fetch(&entered, 1, __ATOMIC_SEQ_CST);
    return (void *)(intptr_t)(mq_send(shared, &c, 1, (unsigned)(c - 'a')) ? errno : 0);
}
static void wait_entered(int n)
{
    while (entered < n) sleep_ms(1);
    sleep_ms(30);
}
static void on_signal(int s) { (void)s; }

static void waiting(void)
{
    section("waiting");
    struct mq_attr a = attr(2, 8);
    shared = (mqd_t)MUST(mq_open("/wait", O_RDWR | O_CREAT, 0600, &a));
    pthread_t t[4];
    void *r;
    char buf[8];
    unsigned prio;
    entered = 0;
    for (int i = 0; i < 3; i++) {
        MUST0(pthread_create(&t[i], 0, receiver, 0));
        wait_entered(i + 1);
    }
    /* Who came first gets the first. */
    for (int i = 0; i < 3; i++) MUST(mq_send(shared, &"xyz"[i], 1, (unsigned)i));
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], &r);
        printf("got %c\n", (char)(intptr_t)r);
    }
    attributes(shared);
    MUST(mq_send(shared, "1", 1, 0));
    MUST(mq_send(shared, "2", 1, 9));
    entered = 0;
    for (int i = 0; i < 3; i++) {
        MUST0(pthread_create(&t[i], 0, sender, (void *)(intptr_t)("cab"[i])));
        wait_entered(i + 1);
    }
    attributes(shared);
    for (int i = 0; i < 5; i++) {
        MUST(mq_receive(shared, buf, 8, &prio));
        printf("%c %u\n", buf[0], prio);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], &r);
        IS(r == 0);
    }
    /* A signal: EINTR, or the wait goes on. */
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction sa = { .sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0 };
        sigaction(SIGUSR1, &sa, 0);
        entered = 0;
        MUST0(pthread_create(&t[0], 0, receiver, 0));
        wait_entered(1);
        pthread_kill(t[0], SIGUSR1);
        sleep_ms(30);
        if (restart) MUST(mq_send(shared, "s", 1, 0));
        pthread_join(t[0], &r);
        if (restart) printf("got %c\n", (char)(intptr_t)r);
        else printf("ended with %s\n", errname(-(int)(intptr_t)r));
    }
    /* Cancellation. */
    entered = 0;
    MUST0(pthread_create(&t[0], 0, receiver, 0));
    wait_entered(1);
    pthread_cancel(t[0]);
    pthread_join(t[0], &r);
    IS(r == PTHREAD_CANCELED);
    /* Readiness. */
    struct pollfd p = { shared, POLLIN | POLLOUT, 0 };
    SHOW(poll(&p, 1, 0));
    printf("%x\n", p.revents);
    MUST(mq_send(shared, "s", 1, 0));
    SHOW(poll(&p, 1, 0));
    printf("%x\n", p.revents);
    MUST(mq_send(shared, "s", 1, 0));
    SHOW(poll(&p, 1, 0));
    printf("%x\n", p.revents);
    int ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, shared, &e));
    SHOW(epoll_wait(ep, &e, 1, 0));
    printf("%x\n", e.events);
    SHOW(epoll_wait(ep, &e, 1, 0));
    MUST(mq_receive(shared, buf, 8, 0));
    SHOW(epoll_wait(ep, &e, 1, 1000));
    printf("%x\n", e.events);
    MUST(mq_receive(shared, buf, 8, 0));
    p.events = POLLIN;
    MUST0(pthread_create(&t[0], 0, sender, (void *)(intptr_t)'k'));
    SHOW(poll(&p, 1, 5000));
    pthread_join(t[0], 0);
    close(ep);
    mq_close(shared);
    mq_unlink("/wait");
}

static volatile sig_atomic_t signals, code, value, by_me;
static void notified(int s, siginfo_t *info, void *c)
{
    (void)c;
    signals = signals * 100 + s;
    code = info->si_code;
    value = info->si_value.sival_int;
    by_me = info->si_pid == getpid() && info->si_uid == getuid();
}
static volatile int called;
static void function(union sigval v) { __atomic_store_n(&called, v.sival_int, __ATOMIC_SEQ_CST); }

static void notification(void)
{
    section("notification");
    struct mq_attr a = attr(4, 8);
    char buf[8];
    mqd_t q = (mqd_t)MUST(mq_open("/notify", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &a));
    struct sigaction sa = { .sa_sigaction = notified, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &sa, 0);
    struct sigevent by_signal = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 4711 };
    struct sigevent none = { .sigev_notify = SIGEV_NONE }, bad = by_signal;
    SHOW(mq_notify(q, NULL));
    SHOW(mq_notify(q, &by_signal));
    text(q);
    SHOW(mq_notify(q, &by_signal));
    SHOW(mq_notify(q, &none));
    MUST(mq_send(q, "1", 1, 0));
    printf("signal %d code %d value %d\n", (int)signals, (int)code, (int)value);
    IS(by_me);
    text(q);
    /* Once only, and only when the queue was empty. */
    MUST(mq_send(q, "2", 1, 0));
    SHOW(mq_notify(q, &by_signal));
    MUST(mq_send(q, "3", 1, 0));
    printf("signals %d\n", (int)signals);
    while (mq_receive(q, buf, 8, 0) >= 0) {}
    MUST(mq_send(q, "4", 1, 0));
    printf("signals %d\n", (int)signals);
    while (mq_receive(q, buf, 8, 0) >= 0) {}
    /* Not to one who waits. */
    struct mq_attr blocking = { 0 };
    mq_setattr(q, &blocking, 0);
    shared = q;
    pthread_t t;
    void *r;
    entered = 0;
    MUST0(pthread_create(&t, 0, receiver, 0));
    wait_entered(1);
    SHOW(mq_notify(q, &by_signal));
    MUST(mq_send(q, "5", 1, 0));
    pthread_join(t, &r);
    printf("got %c, signals %d\n", (char)(intptr_t)r, (int)signals);
    SHOW(mq_notify(q, NULL));
    MUST(mq_send(q, "6", 1, 0));
    printf("signals %d\n", (int)signals);
    MUST(mq_receive(q, buf, 8, 0));
    SHOW(mq_notify(q, &none));
    text(q);
    /* Any descriptor that is closed ends it. */
    mqd_t second = (mqd_t)MUST(mq_open("/notify", O_RDONLY));
    SHOW(mq_notify(second, &by_signal));
    mq_close(second);
    SHOW(mq_notify(q, &by_signal));
    SHOW(mq_notify(q, NULL));
    bad.sigev_signo = 65;
    SHOW(mq_notify(q, &bad));
    bad.sigev_signo = -1;
    SHOW(mq_notify(q, &bad));
    bad.sigev_signo = 0;
    SHOW(mq_notify(q, &bad));
    MUST(mq_send(q, "7", 1, 0));
    MUST(mq_receive(q, buf, 8, 0));
    bad.sigev_notify = 77;
    SHOW(mq_notify(q, &bad));
    SHOW(mq_notify(0, &none));
    SHOW(mq_notify(-1, &none));
    SHOW(syscall(SYS_mq_notify, q, (void *)8));
    bad = (struct sigevent){ .sigev_notify = SIGEV_THREAD, .sigev_signo = -1, .sigev_value.sival_ptr = buf };
    SHOW(syscall(SYS_mq_notify, q, &bad));
    bad.sigev_value.sival_ptr = (void *)8;
    SHOW(syscall(SYS_mq_notify, q, &bad));
    char cookie[32] = "";
    int fds[2];
    MUST(pipe(fds));
    bad.sigev_value.sival_ptr = cookie;
    bad.sigev_signo = fds[0];
    SHOW(syscall(SYS_mq_notify, q, &bad));
    section("a thread");
    struct sigevent by_thread = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = function, .sigev_value.sival_int = 42 };
    SHOW(mq_notify(q, &by_thread));
    text(q);
    SHOW(mq_notify(q, &by_signal));
    MUST(mq_send(q, "8", 1, 0));
    for (int i = 0; i < 5000 && !called; i++) sleep_ms(1);
    SHOW(called);
    MUST(mq_receive(q, buf, 8, 0));
    called = 0;
    SHOW(mq_notify(q, &by_thread));
    SHOW(mq_notify(q, NULL));
    MUST(mq_send(q, "9", 1, 0));
    sleep_ms(50);
    SHOW(called);
    mq_close(q);
    mq_unlink("/notify");
}

static void file_system(void)
{
    section("file system");
    char path[300];
    struct stat s;
    struct statfs f;
    MUST(statfs(ipc_queues(), &f));
    printf("%lx\n", (long)f.f_type);
    MUST(stat(ipc_queues(), &s));
    printf("%o %ld %ld\n", s.st_mode, (long)s.st_nlink, (long)s.st_size);
    umask(027);
    mqd_t q = (mqd_t)MUST(mq_open("/file", O_RDWR | O_CREAT, 0666, NULL));
    umask(022);
    MUST(fstat(q, &s));
    printf("%o %ld %ld\n", s.st_mode, (long)s.st_nlink, (long)s.st_size);
    snprintf(path, sizeof path, "%s/file", ipc_queues());
    ino_t ino = s.st_ino;
    MUST(stat(path, &s));
    IS(s.st_ino == ino);
    MUST(stat(ipc_queues(), &s));
    printf("%ld\n", (long)s.st_size);
    SHOW(fchmod(q, 0640));
    SHOW(fchown(q, 33, 33));
    MUST(stat(path, &s));
    printf("%o %d %d\n", s.st_mode, (int)s.st_uid, (int)s.st_gid);
    SHOW(access(path, R_OK | W_OK));
    MUST(mq_send(q, "four", 4, 0));
    int fd = (int)MUST(open(path, O_RDONLY));
    text(fd);
    char buf[8192];
    SHOW(mq_receive(fd, buf, sizeof buf, 0));
    SHOW(pread(fd, buf, 3, 2));
    printf("%.3s\n", buf);
    close(fd);
    snprintf(path, sizeof path, "%s/made", ipc_queues());
    fd = (int)MUST(open(path, O_RDWR | O_CREAT, 0600));
    attributes(fd);
    close(fd);
    int n = 0;
    DIR *d = opendir(ipc_queues());
    for (struct dirent *e; (e = readdir(d));) n += !strcmp(e->d_name, "made") + !strcmp(e->d_name, "file");
    closedir(d);
    SHOW(n);
    char other[300];
    snprintf(other, sizeof other, "%s/dir", ipc_queues());
    SHOW(mkdir(other, 0700));
    SHOW(symlink("x", other));
    SHOW(link(path, other));
    SHOW(rename(path, other));
    SHOW(mkfifo(other, 0600));
    SHOW(truncate(path, 0));
    SHOW(unlink(path));
    SHOW(mq_open("/made", O_RDWR));
    MUST(fstat(q, &s));
    SHOW(mq_unlink("/file"));
    MUST(fstat(q, &s));
    SHOW(s.st_nlink);
    mq_close(q);
}

static void users(void)
{
    section("users");
    mqd_t q = (mqd_t)MUST(mq_open("/mine", O_RDWR | O_CREAT, 0640, NULL));
    mq_close(q);
    q = (mqd_t)MUST(mq_open("/all", O_RDWR | O_CREAT, 0644, NULL));
    fchmod(q, 0666);
    mq_close(q);
    MUST(setegid(33));
    MUST(seteuid(33));
    SHOW(mq_open("/mine", O_RDONLY));
    SHOW(mq_open("/mine", O_WRONLY));
    SHOW(mq_open("/mine", O_RDONLY | O_CREAT, 0600, NULL));
    SHOW(mq_unlink("/mine"));
    SHOW(mq_unlink("/all"));
    q = (mqd_t)MUST(mq_open("/all", O_RDWR));
    SHOW(mq_send(q, "x", 1, 0));
    mq_close(q);
    struct mq_attr a = attr(11, 8);
    SHOW(mq_open("/other", O_RDWR | O_CREAT, 0600, &a));
    a = attr(10, 8193);
    SHOW(mq_open("/other", O_RDWR | O_CREAT, 0600, &a));
    a = attr(10, 8192);
    q = (mqd_t)MUST(mq_open("/other", O_RDWR | O_CREAT, 0600, &a));
    struct stat s;
    MUST(fstat(q, &s));
    printf("%d %d\n", (int)s.st_uid, (int)s.st_gid);
    mq_close(q);
    SHOW(mq_unlink("/other"));
    MUST(seteuid(0));
    MUST(setegid(0));
    MUST(write_file("/proc/sys/fs/mqueue/queues_max", "2"));
    SHOW(mq_open("/other", O_RDWR | O_CREAT, 0600, NULL));
    MUST(write_file("/proc/sys/fs/mqueue/queues_max", "256"));
    SHOW(mq_unlink("/mine"));
    SHOW(mq_unlink("/all"));
}

int main(void)
{
    ipc_apart();
    names();
    attributes_and_limits();
    order();
    waiting();
    notification();
    file_system();
    users();
    ipc_cleanup();
    return done();
}
