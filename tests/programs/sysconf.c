// sysconf's claims are true: for every option that it reports, the promised feature is tried.
#include "test.h"
#include <aio.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/wait.h>

extern char **environ;

/* If claimed, it must work. If not, it may still work, so nothing is printed. */
#define CLAIM(name, works) IS(sysconf(name) == -1 || (works))

static void *nothing(void *x) { return x; }

static bool thread_with(pthread_attr_t *a)
{
    pthread_t t;
    return pthread_create(&t, a, nothing, 0) == 0 && pthread_join(t, 0) == 0;
}

static bool small_stack(void)
{
    pthread_attr_t a;
    pthread_attr_init(&a);
    return pthread_attr_setstacksize(&a, sysconf(_SC_THREAD_STACK_MIN)) == 0 && thread_with(&a);
}

static bool own_stack(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    pthread_attr_t a;
    pthread_attr_init(&a);
    return pthread_attr_setstack(&a, stack, sizeof stack) == 0 && thread_with(&a);
}

static bool realtime_thread(void)
{
    pthread_attr_t a;
    struct sched_param p = { .sched_priority = 1 };
    pthread_attr_init(&a);
    return !pthread_attr_setschedpolicy(&a, SCHED_FIFO) && !pthread_attr_setschedparam(&a, &p)
        && !pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED) && thread_with(&a);
}

static bool shared_objects(void)
{
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    pthread_barrier_t b;
    pthread_spinlock_t s;
    pthread_rwlock_t r;
    return !pthread_mutexattr_init(&m) && !pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED)
        && !pthread_condattr_init(&c) && !pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED)
        && !pthread_barrier_init(&b, 0, 1) && pthread_barrier_wait(&b) == PTHREAD_BARRIER_SERIAL_THREAD
        && !pthread_spin_init(&s, 1) && !pthread_spin_lock(&s) && !pthread_rwlock_init(&r, 0) && !pthread_rwlock_rdlock(&r);
}

static bool mutex_protocol(int protocol)
{
    pthread_mutexattr_t a;
    pthread_mutex_t m;
    return !pthread_mutexattr_init(&a) && !pthread_mutexattr_setprotocol(&a, protocol) && !pthread_mutex_init(&m, &a)
        && !pthread_mutex_lock(&m) && !pthread_mutex_unlock(&m);
}

static bool all_keys(void)
{
    static pthread_key_t k[1024];
    long n = sysconf(_SC_THREAD_KEYS_MAX), made = 0;
    while (made < n && made < 1024 && pthread_key_create(k + made, 0) == 0) made++;
    for (long i = 0; i < made; i++) pthread_key_delete(k[i]);
    return made >= n - 1;
}

static bool semaphores(void)
{
    sem_t s, *named = sem_open("/unibody-sysconf", O_CREAT, 0600, 1);
    if (named == SEM_FAILED || sem_wait(named) || sem_unlink("/unibody-sysconf")) return false;
    return !sem_init(&s, 0, sysconf(_SC_SEM_VALUE_MAX)) && !sem_wait(&s) && !sem_post(&s) && sem_post(&s) == -1 && errno == EOVERFLOW;
}

static bool shared_memory(void)
{
    int fd = shm_open("/unibody-sysconf", O_CREAT | O_RDWR, 0600);
    if (fd < 0 || shm_unlink("/unibody-sysconf") || ftruncate(fd, 4096)) return false;
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED) return false;
    m[1] = 1;
    return !msync(m, 4096, MS_SYNC) && !mprotect(m, 4096, PROT_READ) && !munmap(m, 4096) && !fsync(fd) && !close(fd);
}

static bool aio(void)
{
    char c = 0;
    int fd = open("/dev/zero", O_RDONLY);
    struct aiocb a = { .aio_fildes = fd, .aio_buf = &c, .aio_nbytes = 1 };
    const struct aiocb *list[] = { &a };
    return !aio_read(&a) && !aio_suspend(list, 1, 0) && aio_error(&a) == 0 && aio_return(&a) == 1 && !close(fd);
}

static bool timers(void)
{
    timer_t t;
    struct sigevent e = { .sigev_notify = SIGEV_NONE };
    struct itimerspec s = { .it_value.tv_sec = 100 };
    return !timer_create(CLOCK_MONOTONIC, &e, &t) && !timer_settime(t, 0, &s, 0) && !timer_delete(t);
}

static bool real_time_signals(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set), sigaddset(&set, SIGRTMIN);
    MUST(sigprocmask(SIG_BLOCK, &set, 0));
    return !sigqueue(getpid(), SIGRTMIN, (union sigval){ 1 }) && !sigqueue(getpid(), SIGRTMIN, (union sigval){ 2 })
        && sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == 1 && sigwaitinfo(&set, &info) == SIGRTMIN
        && info.si_value.sival_int == 2 && SIGRTMAX - SIGRTMIN + 1 >= sysconf(_SC_RTSIG_MAX);
}

static bool many_pieces(void)
{
    static char b[4096];
    struct iovec v[IOV_MAX];
    int fd = open("/dev/zero", O_RDONLY);
    long n = sysconf(_SC_IOV_MAX);
    for (long i = 0; i < n && i < IOV_MAX; i++) v[i] = (struct iovec){ b + i, 1 };
    return n <= IOV_MAX && readv(fd, v, n) == n && !close(fd);
}

static bool open_max(void)
{
    long n = sysconf(_SC_OPEN_MAX);
    int fd = fcntl(1, F_DUPFD, n - 1);
    return fd == n - 1 && !close(fd) && dup2(1, n) == -1 && errno == EBADF;
}

static bool spawns(void)
{
    pid_t p;
    char *argv[] = { "true", 0 };
    return posix_spawnp(&p, "true", 0, 0, argv, environ) == 0 && waitpid(p, 0, 0) == p;
}

int main(void)
{
    struct timespec ts;
    struct sysinfo si;
    regex_t re;
    gid_t groups[64];

    section("processes");
    SHOW(sysconf(_SC_CHILD_MAX));
    CLAIM(_SC_JOB_CONTROL, false);
    CLAIM(_SC_SPAWN, spawns());
    CLAIM(_SC_SHELL, system("true") == 0);
    CLAIM(_SC_MESSAGE_PASSING, mq_open("/unibody-sysconf", O_CREAT | O_RDWR, 0600, 0) != (mqd_t)-1);
    SHOW(sysconf(_SC_MQ_PRIO_MAX));
    CLAIM(_SC_XOPEN_SHM, shmget(IPC_PRIVATE, 4096, 0600) != -1);
    CLAIM(_SC_RAW_SOCKETS, socket(AF_INET, SOCK_RAW, IPPROTO_UDP) != -1);
    CLAIM(_SC_SAVED_IDS, setreuid(geteuid(), geteuid()) == 0);
    CLAIM(_SC_NGROUPS_MAX, geteuid() != 0 || getgroups(64, groups) <= 64);

    section("threads");
    CLAIM(_SC_THREADS, thread_with(0));
    CLAIM(_SC_THREAD_STACK_MIN, small_stack());
    CLAIM(_SC_THREAD_ATTR_STACKADDR, own_stack());
    CLAIM(_SC_THREAD_PRIORITY_SCHEDULING, realtime_thread());
    CLAIM(_SC_PRIORITY_SCHEDULING, false);
    CLAIM(_SC_THREAD_PROCESS_SHARED, shared_objects());
    CLAIM(_SC_THREAD_PRIO_INHERIT, mutex_protocol(PTHREAD_PRIO_INHERIT));
    CLAIM(_SC_THREAD_PRIO_PROTECT, mutex_protocol(PTHREAD_PRIO_PROTECT));
    CLAIM(_SC_THREAD_KEYS_MAX, all_keys());
    CLAIM(_SC_THREAD_CPUTIME, clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
    CLAIM(_SC_CPUTIME, clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0);

    section("others");
    CLAIM(_SC_SEMAPHORES, semaphores());
    CLAIM(_SC_SHARED_MEMORY_OBJECTS, shared_memory());
    CLAIM(_SC_MAPPED_FILES, shared_memory());
    CLAIM(_SC_ASYNCHRONOUS_IO, aio());
    CLAIM(_SC_TIMERS, timers());
    CLAIM(_SC_REALTIME_SIGNALS, real_time_signals());
    CLAIM(_SC_MONOTONIC_CLOCK, clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    CLAIM(_SC_CLOCK_SELECTION, clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ 0, 1 }, 0) == 0);
    CLAIM(_SC_MEMLOCK_RANGE, mlock(&si, sizeof si) == 0 && munlock(&si, sizeof si) == 0);
    CLAIM(_SC_MEMLOCK, mlockall(MCL_CURRENT) == 0 || errno == ENOMEM);
    CLAIM(_SC_ADVISORY_INFO, posix_madvise((void *)0x1000, 0, POSIX_MADV_NORMAL) == 0);
    CLAIM(_SC_REGEXP, regcomp(&re, "a(b|c)+", REG_EXTENDED) == 0 && regexec(&re, "xabcb", 0, 0, 0) == 0);
    CLAIM(_SC_IPV6, socket(AF_INET6, SOCK_DGRAM, 0) != -1 || errno == EAFNOSUPPORT);
    CLAIM(_SC_IOV_MAX, many_pieces());
    CLAIM(_SC_OPEN_MAX, open_max());
    MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 200, 300 }));
    CLAIM(_SC_OPEN_MAX, sysconf(_SC_OPEN_MAX) == 200 && open_max());
    CLAIM(_SC_PAGE_SIZE, sysconf(_SC_PAGE_SIZE) == 4096);
    MUST(sysinfo(&si));
    CLAIM(_SC_PHYS_PAGES, (unsigned long)sysconf(_SC_PHYS_PAGES) == si.totalram / 4096 * si.mem_unit);
    CLAIM(_SC_AVPHYS_PAGES, sysconf(_SC_AVPHYS_PAGES) > 0 && sysconf(_SC_AVPHYS_PAGES) < sysconf(_SC_PHYS_PAGES));
    cpu_set_t cpus;
    MUST(sched_getaffinity(0, sizeof cpus, &cpus));
    CLAIM(_SC_NPROCESSORS_ONLN, sysconf(_SC_NPROCESSORS_ONLN) == CPU_COUNT(&cpus));
    CLAIM(_SC_NPROCESSORS_CONF, sysconf(_SC_NPROCESSORS_CONF) >= CPU_COUNT(&cpus));
    SHOW(sysconf(-1));
    SHOW(sysconf(100000));
    return done();
}
