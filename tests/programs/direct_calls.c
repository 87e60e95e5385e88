// System calls that the C library reaches by newer ones, or not at all: each is made by its number.
//@ shows creat mknodat utime utimes futimesat fchmodat2 getpgrp gettimeofday time getrlimit setrlimit
//@ shows epoll_create eventfd signalfd inotify_init pause alarm rt_sigsuspend tgkill rt_tgsigqueueinfo
//@ shows set_robust_list recvmmsg sendmmsg membarrier wait4 waitid setsid setpgid
//@ shows sched_getscheduler sched_setscheduler sched_getparam sched_setparam sched_rr_get_interval exit_group
#include "test.h"
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static volatile sig_atomic_t seen;
static volatile int value;

static void handler(int sig, siginfo_t *info, void *context)
{
    (void)context;
    seen = sig;
    value = info->si_value.sival_int;
}

static unsigned long bit(int sig) { return 1ul << (sig - 1); }

static void files(void)
{
    struct stat st;
    section("files");
    int fd = (int)syscall(SYS_creat, "made", 0640);
    IS(fd >= 0);
    IS(fcntl(fd, F_GETFL) % 4 == O_WRONLY);
    SHOW(write(fd, "text", 4));
    fd = (int)syscall(SYS_creat, "made", 0600);
    MUST(fstat(fd, &st));
    IS(st.st_size == 0 && (st.st_mode & 07777) == 0640);
    SHOW(syscall(SYS_creat, "none/made", 0600));

    SHOW(syscall(SYS_mknodat, AT_FDCWD, "queue", S_IFIFO | 0600, 0));
    MUST(stat("queue", &st));
    IS(S_ISFIFO(st.st_mode));
    SHOW(syscall(SYS_mknodat, AT_FDCWD, "queue", S_IFIFO | 0600, 0));
    SHOW(syscall(SYS_mknodat, AT_FDCWD, "folder", S_IFDIR | 0700, 0));

    long times[2] = { 1000, 2000 };
    SHOW(syscall(SYS_utime, "made", times));
    MUST(stat("made", &st));
    IS(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec == 2000);
    struct timeval both[2] = { { 3000, 500000 }, { 4000, 250000 } };
    SHOW(syscall(SYS_utimes, "made", both));
    MUST(stat("made", &st));
    IS(st.st_atim.tv_sec == 3000 && st.st_mtim.tv_sec == 4000);
    IS(st.st_mtim.tv_nsec == 250000000);
    both[0].tv_usec = 1000000;
    SHOW(syscall(SYS_utimes, "made", both));
    both[0].tv_usec = 0;
    both[1].tv_sec = 5000;
    SHOW(syscall(SYS_futimesat, AT_FDCWD, "made", both));
    MUST(stat("made", &st));
    IS(st.st_mtim.tv_sec == 5000);
    SHOW(syscall(SYS_futimesat, AT_FDCWD, "none", both));

    // Linux has fchmodat2 since 6.6; before that there is nothing to compare with.
    bool old = syscall(SYS_fchmodat2, AT_FDCWD, "made", 0604, 0) == -1 && errno == ENOSYS && !in_vm();
    MUST(old ? chmod("made", 0604) : 0);
    MUST(stat("made", &st));
    IS((st.st_mode & 07777) == 0604);
    MUST(symlink("made", "link"));
    long r = syscall(SYS_fchmodat2, AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW);
    IS(r == -1 && (errno == EOPNOTSUPP || old));
    r = syscall(SYS_fchmodat2, AT_FDCWD, "made", 0600, 0x40000000);
    IS(r == -1 && (errno == EINVAL || old));
}

static void clocks(void)
{
    struct timeval tv = { 0, 0 };
    long now = 0;
    section("clocks");
    SHOW(syscall(SYS_gettimeofday, &tv, NULL));
    IS(syscall(SYS_time, &now) == now);
    IS(now - tv.tv_sec >= 0 && now - tv.tv_sec < 60);
    IS(syscall(SYS_time, NULL) >= now);
    SHOW(syscall(SYS_gettimeofday, NULL, NULL));
}

static void limits(void)
{
    struct rlimit r = { 0, 0 };
    section("limits");
    SHOW(syscall(SYS_getrlimit, RLIMIT_NOFILE, &r));
    IS(r.rlim_cur >= 256 && r.rlim_cur <= r.rlim_max);
    r.rlim_cur = 200;
    SHOW(syscall(SYS_setrlimit, RLIMIT_NOFILE, &r));
    MUST(getrlimit(RLIMIT_NOFILE, &r));
    IS(r.rlim_cur == 200);
    SHOW(syscall(SYS_getrlimit, 99, &r));
    SHOW(syscall(SYS_setrlimit, 99, &r));
    r.rlim_cur = r.rlim_max + 1;
    SHOW(syscall(SYS_setrlimit, RLIMIT_NOFILE, &r));
}

static void descriptors(void)
{
    section("descriptors");
    unsigned long none = 0;
    int fds[] = {
        (int)syscall(SYS_epoll_create, 1), (int)syscall(SYS_eventfd, 7), (int)syscall(SYS_signalfd, -1, &none, 8),
        (int)syscall(SYS_inotify_init),
    };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        IS(fds[i] >= 0);
        SHOW(fcntl(fds[i], F_GETFD));
    }
    uint64_t count = 0;
    SHOW(read(fds[1], &count, 8));
    SHOW(count);
    SHOW(syscall(SYS_epoll_create, 0));
    SHOW(syscall(SYS_epoll_create, -1));
    SHOW(syscall(SYS_signalfd, -1, &none, 4));
}

static void signals(void)
{
    struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    section("signals");
    MUST(sigaction(SIGALRM, &act, NULL));
    MUST(sigaction(SIGUSR1, &act, NULL));
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    SHOW(syscall(SYS_alarm, 1));
    SHOW(syscall(SYS_pause));
    IS(seen == SIGALRM);
    SHOW(syscall(SYS_alarm, 0));

    MUST(sigprocmask(SIG_BLOCK, &blocked, NULL));
    seen = 0;
    SHOW(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
    IS(seen == 0);
    unsigned long open = ~bit(SIGUSR1);
    SHOW(syscall(SYS_rt_sigsuspend, &open, 8));
    IS(seen == SIGUSR1);
    SHOW(syscall(SYS_tgkill, getpid(), 0, SIGUSR1));
    SHOW(syscall(SYS_tgkill, 1 << 22, 1 << 22, SIGUSR1));
    SHOW(syscall(SYS_tgkill, getpid(), gettid(), 65));

    MUST(sigprocmask(SIG_UNBLOCK, &blocked, NULL));
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_value.sival_int = 4711;
    seen = 0;
    SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &info));
    IS(seen == SIGUSR1 && value == 4711);
    SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), 65, &info));
    SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), 1 << 22, SIGUSR1, &info));
}

static void threads(void)
{
    void *head = NULL, *same = NULL;
    size_t length = 0;
    section("threads");
    MUST(syscall(SYS_get_robust_list, 0, &head, &length));
    struct { void *list; long offset; void *pending; } mine = { &mine, 0, NULL };
    SHOW(syscall(SYS_set_robust_list, &mine, sizeof mine));
    SHOW(syscall(SYS_get_robust_list, 0, &same, &length));
    IS(same == &mine && length == sizeof mine);
    SHOW(syscall(SYS_set_robust_list, &mine, 8));
    MUST(syscall(SYS_set_robust_list, head, sizeof mine));

    long commands = syscall(SYS_membarrier, 0, 0, 0);
    IS(commands > 0 && commands & 1 << 3 && commands & 1 << 4);
    SHOW(syscall(SYS_membarrier, 1 << 4, 0, 0));
    SHOW(syscall(SYS_membarrier, 1 << 3, 0, 0));
    SHOW(syscall(SYS_membarrier, 1 << 30, 0, 0));
    SHOW(syscall(SYS_membarrier, 0, 1 << 10, 0));

    struct sched_param parameter = { .sched_priority = 5 };
    SHOW(syscall(SYS_sched_getscheduler, 0));
    SHOW(syscall(SYS_sched_getparam, 0, &parameter));
    SHOW(parameter.sched_priority);
    SHOW(syscall(SYS_sched_setparam, 0, &parameter));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameter));
    parameter.sched_priority = 1;
    SHOW(syscall(SYS_sched_setparam, 0, &parameter));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameter));
    SHOW(syscall(SYS_sched_setscheduler, 0, 99, &parameter));
    SHOW(syscall(SYS_sched_setscheduler, -1, SCHED_OTHER, &parameter));
    struct timespec slice = { -1, -1 };
    SHOW(syscall(SYS_sched_rr_get_interval, 0, &slice));
    IS(slice.tv_sec == 0 && slice.tv_nsec >= 0 && slice.tv_nsec < 1000000000);
    SHOW(syscall(SYS_sched_rr_get_interval, -1, &slice));
}

static void messages(void)
{
    int pair[2];
    char in[3][8] = { "", "", "" }, *out[3] = { "one", "three", "seven" };
    struct iovec to[3], from[3];
    struct mmsghdr sent[3], got[3];
    section("messages");
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    memset(sent, 0, sizeof sent);
    memset(got, 0, sizeof got);
    for (int i = 0; i < 3; i++) {
        to[i] = (struct iovec){ out[i], strlen(out[i]) };
        from[i] = (struct iovec){ in[i], sizeof in[i] };
        sent[i].msg_hdr.msg_iov = &to[i];
        got[i].msg_hdr.msg_iov = &from[i];
        sent[i].msg_hdr.msg_iovlen = got[i].msg_hdr.msg_iovlen = 1;
    }
    SHOW(syscall(SYS_sendmmsg, pair[0], sent, 3, 0));
    SHOW(sent[2].msg_len);
    struct timespec soon = { 5, 0 };
    SHOW(syscall(SYS_recvmmsg, pair[1], got, 2, 0, &soon));
    SHOW(got[1].msg_len);
    IS(!memcmp(in[0], "one", 3) && !memcmp(in[1], "three", 5));
    // What is there, without waiting for the rest.
    SHOW(syscall(SYS_recvmmsg, pair[1], got, 3, MSG_WAITFORONE, NULL));
    SHOW(syscall(SYS_recvmmsg, pair[1], got, 3, MSG_DONTWAIT, NULL));
    SHOW(syscall(SYS_sendmmsg, -1, sent, 3, 0));
    SHOW(syscall(SYS_recvmmsg, -1, got, 3, 0, NULL));
}

static void family(void)
{
    siginfo_t info;
    int status;
    section("family");
    SHOW(syscall(SYS_wait4, -1, &status, 0, NULL));
    SHOW(syscall(SYS_wait4, -1, &status, 0x4000, NULL));
    SHOW(syscall(SYS_waitid, P_ALL, 0, &info, WEXITED, NULL));
    SHOW(syscall(SYS_waitid, P_ALL, 0, &info, 0, NULL));
    SHOW(syscall(SYS_wait4, INT_MIN, &status, 0, NULL));
    for (int kind = 0; kind < 5; kind++)
        for (int id = -1; id < 2; id++) {
            // The descriptors are not those of processes.
            int which = kind == 3 && id >= 0 ? 1000 : id;
            printf("%d %d: ", kind, which);
            SHOW(syscall(SYS_waitid, kind, which, &info, WEXITED, NULL));
        }
    // Whoever leads a session can neither begin another nor leave its group.
    syscall(SYS_setsid);
    SHOW(syscall(SYS_setsid));
    SHOW(syscall(SYS_setpgid, 0, 0));
    IS(syscall(SYS_getpgrp) == getpid());
    SHOW(kill(-getpgrp(), 0));
    SHOW(syscall(SYS_setpgid, 0, -1));
    SHOW(syscall(SYS_setpgid, -1, 0));
    SHOW(syscall(SYS_setpgid, -1, 1));
}

int main(void)
{
    enter_scratch();
    files();
    clocks();
    limits();
    descriptors();
    signals();
    threads();
    messages();
    family();
    fflush(stdout);
    syscall(SYS_exit_group, test_failures ? 1 : 0);
}
