// System V semaphores: making, operating, waiting in order, undoing, removing, what is told, who may what.
//@ shows semget semop semctl semtimedop
//@ user root
//@ smp 2
#include "ipc.h"
#include <pthread.h>
#include <signal.h>
#include <sys/sem.h>

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif
union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

static int set;
static long op(int num, int by, int flags)
{
    struct sembuf s = { (unsigned short)num, (short)by, (short)flags };
    return semop(set, &s, 1);
}
static void values(void)
{
    unsigned short v[3] = { 0 };
    long r = semctl(set, 0, GETALL, (union semun){ .array = v });
    if (r) printf("%s\n", errname(errno));
    else printf("%d %d %d\n", v[0], v[1], v[2]);
}
static void about(int id)
{
    struct semid_ds d;
    if (semctl(id, 0, IPC_STAT, (union semun){ .buf = &d })) {
        printf("%s\n", errname(errno));
        return;
    }
    printf("mode %o count %ld uid %d gid %d cuid %d cgid %d\n", d.sem_perm.mode, (long)d.sem_nsems, (int)d.sem_perm.uid,
           (int)d.sem_perm.gid, (int)d.sem_perm.cuid, (int)d.sem_perm.cgid);
    IS(time(0) - d.sem_ctime < 100 && (d.sem_otime == 0 || time(0) - d.sem_otime < 100));
}

static char order[16];
static int done_count;
static struct job { struct sembuf ops[3]; int n; char name; } jobs[8];
static void *work(void *arg)
{
    struct job *j = arg;
    long r = semop(set, j->ops, (size_t)j->n);
    int e = errno;
    order[__atomic_fetch_add(&done_count, 1, __ATOMIC_SEQ_CST)] = r ? '!' : j->name;
    return (void *)(intptr_t)(r ? e : 0);
}
static int waiting(int num) { return semctl(set, num, GETNCNT) + semctl(set, num, GETZCNT); }
static pthread_t begin(int n, char name, int num, int by, int num2, int by2)
{
    pthread_t t;
    struct job *j = &jobs[n];
    *j = (struct job){ { { (unsigned short)num, (short)by, 0 }, { (unsigned short)num2, (short)by2, 0 } }, num2 < 0 ? 1 : 2, name };
    int before = waiting(0) + waiting(1) + waiting(2);
    MUST0(pthread_create(&t, 0, work, j));
    while (waiting(0) + waiting(1) + waiting(2) == before) sleep_ms(1);
    return t;
}
static void reset(int a, int b, int c)
{
    unsigned short v[3] = { (unsigned short)a, (unsigned short)b, (unsigned short)c };
    MUST(semctl(set, 0, SETALL, (union semun){ .array = v }));
}
static void settle(int n)
{
    while (done_count < n) sleep_ms(1);
    sleep_ms(20);
}
static void forget(void) { memset(order, 0, sizeof order); done_count = 0; }
static void on_signal(int s) { (void)s; }

int main(void)
{
    ipc_apart();
    file_text("/proc/sys/kernel/sem");
    section("making");
    SHOW(semget(77, 3, 0600));
    SHOW(semget(77, 0, IPC_CREAT | 0600));
    SHOW(semget(77, -1, IPC_CREAT | 0600));
    SHOW(semget(77, 32001, IPC_CREAT | 0600));
    set = (int)SHOW(semget(77, 3, IPC_CREAT | IPC_EXCL | 0600));
    SHOW(semget(77, 3, IPC_CREAT | IPC_EXCL | 0600));
    IS(semget(77, 0, 0) == set && semget(77, 3, IPC_CREAT | 0600) == set);
    SHOW(semget(77, 4, 0600));
    about(set);
    values();

    section("operating");
    SHOW(op(0, 5, 0));
    SHOW(op(0, -3, 0));
    SHOW(op(1, 0, 0));
    SHOW(op(0, 0, IPC_NOWAIT));
    SHOW(op(0, -3, IPC_NOWAIT));
    SHOW(op(3, 1, 0));
    SHOW(op(0, 32767, IPC_NOWAIT));
    SHOW(op(1, 32767, 0));
    SHOW(op(1, 1, IPC_NOWAIT));
    values();
    struct sembuf all[3] = { { 0, -1, IPC_NOWAIT }, { 2, 4, 0 }, { 0, -2, IPC_NOWAIT } };
    SHOW(semop(set, all, 3));
    values();
    all[2].sem_op = -1;
    SHOW(semop(set, all, 3));
    values();
    struct sembuf twice[3] = { { 0, 1, 0 }, { 0, -1, 0 }, { 0, 0, IPC_NOWAIT } };
    SHOW(semop(set, twice, 3));
    values();
    SHOW(semop(set, all, 0));
    SHOW(semop(set, (void *)8, 1));
    SHOW(semop(set, (void *)8, 501));
    SHOW(semop(-1, all, 1));
    SHOW(semop(4711, all, 1));
    IS(semctl(set, 0, GETPID) == getpid() && semctl(set, 2, GETPID) == getpid());
    SHOW(semctl(set, 0, GETVAL));
    SHOW(semctl(set, 2, GETVAL));
    SHOW(semctl(set, 3, GETVAL));
    SHOW(semctl(set, -1, GETVAL));
    SHOW(semctl(set, 0, SETVAL, (union semun){ .val = 9 }));
    SHOW(semctl(set, 0, SETVAL, (union semun){ .val = -1 }));
    SHOW(semctl(set, 0, SETVAL, (union semun){ .val = 32768 }));
    SHOW(semctl(set, 3, SETVAL, (union semun){ .val = 1 }));
    SHOW(semctl(set, 0, GETALL, (union semun){ .array = (void *)8 }));
    SHOW(semctl(set, 0, SETALL, (union semun){ .array = (void *)8 }));
    unsigned short big[3] = { 1, 32768, 1 };
    SHOW(semctl(set, 0, SETALL, (union semun){ .array = big }));
    values();

    section("undoing");
    reset(0, 0, 0);
    SHOW(op(0, 32767, SEM_UNDO));
    SHOW(op(0, -32767, 0));
    SHOW(op(0, 1, SEM_UNDO));
    SHOW(op(0, 2, SEM_UNDO));
    SHOW(semctl(set, 0, SETVAL, (union semun){ .val = 0 }));
    SHOW(op(0, 2, SEM_UNDO));
    values();

    section("waiting");
    reset(0, 0, 0);
    struct timespec no = { 0, 0 }, soon = { 0, 50000000 }, bad = { 0, 1000000000 }, negative = { -1, 0 };
    struct sembuf one = { 0, -1, 0 };
    struct sembuf up = { 0, 1, 0 };
    SHOW(semtimedop(set, &up, 1, &no));
    SHOW(semtimedop(set, &one, 1, &no));
    SHOW(semtimedop(set, &one, 1, &no));
    int64_t from = now_ns();
    SHOW(semtimedop(set, &one, 1, &soon));
    IS(now_ns() - from >= 50000000);
    SHOW(semtimedop(set, &one, 1, &bad));
    SHOW(semtimedop(set, &one, 1, &negative));
    SHOW(semtimedop(set, &one, 1, (void *)8));
    pthread_t t[6];
    void *r;
    t[0] = begin(0, 'a', 0, -1, -1, 0);
    t[1] = begin(1, 'b', 0, -1, -1, 0);
    SHOW(semctl(set, 0, GETNCNT));
    SHOW(semctl(set, 0, GETZCNT));
    SHOW(op(0, 1, 0));
    settle(1);
    SHOW(op(0, 1, 0));
    settle(2);
    puts(order);
    pthread_join(t[0], 0);
    pthread_join(t[1], 0);
    forget();
    /* One that cannot be done lets others pass. */
    t[0] = begin(0, 'a', 0, -3, -1, 0);
    t[1] = begin(1, 'b', 0, -1, -1, 0);
    SHOW(op(0, 2, 0));
    settle(1);
    values();
    SHOW(op(0, 2, 0));
    settle(2);
    puts(order);
    values();
    pthread_join(t[0], 0);
    pthread_join(t[1], 0);
    forget();
    /* Those that wait for zero see it before it is gone. */
    reset(2, 0, 0);
    t[0] = begin(0, 'z', 0, 0, -1, 0);
    t[1] = begin(1, 'c', 0, -2, 1, -1);
    SHOW(semctl(set, 0, GETZCNT));
    SHOW(semctl(set, 0, GETNCNT));
    SHOW(semctl(set, 1, GETNCNT));
    SHOW(op(1, 1, 0));
    settle(2);
    values();
    IS(strchr(order, 'z') && strchr(order, 'c'));
    pthread_join(t[0], 0);
    pthread_join(t[1], 0);
    forget();
    reset(0, 0, 0);
    t[0] = begin(0, 'd', 0, -1, 1, 2);
    t[1] = begin(1, 'e', 1, -2, -1, 0);
    SHOW(op(0, 1, 0));
    settle(2);
    IS(strchr(order, 'd') && strchr(order, 'e'));
    values();
    pthread_join(t[0], 0);
    pthread_join(t[1], 0);
    forget();
    t[0] = begin(0, 'f', 2, -4, -1, 0);
    SHOW(semctl(set, 2, SETVAL, (union semun){ .val = 4 }));
    pthread_join(t[0], &r);
    SHOW((intptr_t)r);
    t[0] = begin(0, 'g', 2, -4, -1, 0);
    reset(1, 1, 4);
    pthread_join(t[0], &r);
    SHOW((intptr_t)r);
    values();
    reset(0, 0, 0);
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction sa = { .sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0 };
        sigaction(SIGUSR1, &sa, 0);
        t[0] = begin(0, 'h', 0, -1, -1, 0);
        pthread_kill(t[0], SIGUSR1);
        pthread_join(t[0], &r);
        printf("%s\n", errname((int)(intptr_t)r));
    }
    SHOW(semctl(set, 0, GETNCNT));

    section("what is told");
    struct seminfo info;
    struct semid_ds d;
    SHOW(semctl(0, 0, IPC_INFO, (union semun){ .info = &info }));
    printf("%d %d %d %d %d %d %d %d %d %d\n", info.semmap, info.semmni, info.semmns, info.semmnu, info.semmsl, info.semopm, info.semume, info.semusz, info.semvmx, info.semaem);
    int second = (int)MUST(semget(IPC_PRIVATE, 7, 0604));
    SHOW(semctl(0, 0, SEM_INFO, (union semun){ .info = &info }));
    printf("%d %d\n", info.semusz, info.semaem);
    for (int i = -1; i < 3; i++) {
        long n = semctl(i, 0, SEM_STAT, (union semun){ .buf = &d });
        printf("%d: %s\n", i, n < 0 ? errname(errno) : n == set ? "set" : n == second ? "second" : "?");
    }
    IS(semctl(1, 0, SEM_STAT_ANY, (union semun){ .buf = &d }) == second && d.sem_nsems == 7);
    SHOW(semctl(set, 0, 99));
    SHOW(semctl(-1, 0, GETVAL));
    SHOW(semctl(set, 0, IPC_STAT, (union semun){ .buf = (void *)8 }));
    SHOW(semctl(set, 0, IPC_SET, (union semun){ .buf = (void *)8 }));
    SHOW(semctl(0, 0, IPC_INFO, (union semun){ .buf = (void *)8 }));
    MUST(semctl(set, 0, IPC_STAT, (union semun){ .buf = &d }));
    d.sem_perm.mode = 07640;
    d.sem_perm.uid = 33;
    SHOW(semctl(set, 0, IPC_SET, (union semun){ .buf = &d }));
    about(set);
    d.sem_perm.gid = -1;
    SHOW(semctl(set, 0, IPC_SET, (union semun){ .buf = &d }));
    char text[4096];
    read_file("/proc/sysvipc/sem", text, sizeof text);
    int lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"), lines++) {
        long k, i, m, n, uid, gid, cuid, cgid;
        if (!lines) puts(line);
        else if (sscanf(line, "%ld %ld %ld %ld %ld %ld %ld %ld", &k, &i, &m, &n, &uid, &gid, &cuid, &cgid) == 8) {
            printf("%ld %s %ld %ld %ld %ld %ld %ld\n", k, i == set ? "set" : "second", m, n, uid, gid, cuid, cgid);
            SHOW(strlen(line));
        }
    }
    SHOW(lines);
    SHOW(write_file("/proc/sys/kernel/sem", "10\t20\t2\t3"));
    file_text("/proc/sys/kernel/sem");
    SHOW(semget(IPC_PRIVATE, 11, 0600));
    SHOW(semget(IPC_PRIVATE, 10, 0600) >= 0 ? 0 : -1);
    SHOW(semget(IPC_PRIVATE, 1, 0600));
    SHOW(semop(set, all, 3));
    MUST(write_file("/proc/sys/kernel/sem", "32000\t1024000000\t500\t32000"));

    section("users");
    MUST(setegid(34));
    MUST(seteuid(34));
    SHOW(semctl(second, 0, GETVAL));
    SHOW(semctl(second, 0, SETVAL, (union semun){ .val = 1 }));
    struct sembuf zero = { 0, 0, 0 }, plus = { 0, 1, 0 };
    SHOW(semop(second, &zero, 1));
    SHOW(semop(second, &plus, 1));
    SHOW(semctl(set, 0, GETVAL));
    SHOW(semctl(set, 0, IPC_STAT, (union semun){ .buf = &d }));
    SHOW(semctl(set, 0, IPC_RMID));
    SHOW(semget(77, 3, 0400));
    SHOW(semget(77, 3, 0) == set ? 0 : -1);
    MUST(seteuid(0));
    MUST(setegid(0));

    section("removing");
    forget();
    t[0] = begin(0, 'a', 0, -1, -1, 0);
    t[1] = begin(1, 'b', 1, -1, 2, -1);
    SHOW(semctl(set, 0, IPC_RMID));
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], &r);
        printf("%s\n", errname((int)(intptr_t)r));
    }
    SHOW(op(0, 1, 0));
    SHOW(semctl(set, 0, IPC_RMID));
    SHOW(semctl(set, 0, GETVAL));
    int again = (int)MUST(semget(77, 3, IPC_CREAT | 0600));
    IS(again != set);
    SHOW(semctl(again, 0, IPC_RMID));
    SHOW(semctl(second, 0, IPC_RMID));
    ipc_cleanup();
    return done();
}
