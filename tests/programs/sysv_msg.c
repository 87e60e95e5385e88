// System V message queues: making, sending, receiving by type, waiting in order, removing, what is told, who may what.
//@ shows msgget msgsnd msgrcv msgctl
//@ user root
//@ smp 2
#include "ipc.h"
#include <pthread.h>
#include <signal.h>
#include <sys/msg.h>

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
static int queue;
struct message { long type; char text[64]; };

static long put(long type, const char *text, int flags)
{
    struct message m = { .type = type };
    strcpy(m.text, text);
    return msgsnd(queue, &m, strlen(text), flags);
}
static void get(long type, size_t size, int flags)
{
    struct message m = { 0 };
    ssize_t n = msgrcv(queue, &m, size, type, flags | IPC_NOWAIT);
    if (n < 0) printf("%ld %#o: %s\n", type, flags, errname(errno));
    else printf("%ld %#o: type %ld, %.*s\n", type, flags, m.type, (int)n, m.text);
}
static void about(int id)
{
    struct msqid_ds d;
    if (msgctl(id, IPC_STAT, &d)) {
        printf("%s\n", errname(errno));
        return;
    }
    printf("mode %o messages %ld bytes %ld most %ld uid %d gid %d cuid %d\n", d.msg_perm.mode, (long)d.msg_qnum, (long)d.__msg_cbytes,
           (long)d.msg_qbytes, (int)d.msg_perm.uid, (int)d.msg_perm.gid, (int)d.msg_perm.cuid);
    printf("sent %d received %d\n", d.msg_stime != 0, d.msg_rtime != 0);
    IS((d.msg_stime ? d.msg_lspid == getpid() : d.msg_lspid == 0) && (d.msg_rtime ? d.msg_lrpid == getpid() : d.msg_lrpid == 0));
    IS(time(0) - d.msg_ctime < 100);
}

static volatile int entered;
struct want { long type; size_t size; int flags; };
static void *receiver(void *arg)
{
    struct want *w = arg;
    struct message m = { 0 };
    __atomic_add_fetch(&entered, 1, __ATOMIC_SEQ_CST);
    ssize_t n = msgrcv(queue, &m, w->size, w->type, w->flags);
    return (void *)(intptr_t)(n < 0 ? -errno : m.text[0]);
}
static void *sender(void *arg)
{
    __atomic_add_fetch(&entered, 1, __ATOMIC_SEQ_CST);
    return (void *)(intptr_t)(put(1, arg, 0) ? -errno : 0);
}
static void wait_entered(int n)
{
    while (entered < n) sleep_ms(1);
    sleep_ms(30);
}
static void joined(pthread_t t)
{
    void *r;
    pthread_join(t, &r);
    int v = (int)(intptr_t)r;
    if (v < 0) puts(errname(-v));
    else printf("%c\n", v ? v : '0');
}
static void on_signal(int s) { (void)s; }

int main(void)
{
    ipc_apart();
    file_text("/proc/sys/kernel/msgmax");
    file_text("/proc/sys/kernel/msgmnb");
    file_text("/proc/sys/kernel/msgmni");
    section("making");
    SHOW(msgget(77, 0600));
    queue = (int)SHOW(msgget(77, IPC_CREAT | IPC_EXCL | 0600));
    SHOW(msgget(77, IPC_CREAT | IPC_EXCL | 0600));
    IS(msgget(77, 0) == queue && msgget(77, IPC_CREAT | 0600) == queue);
    about(queue);

    section("types");
    get(0, 64, 0);
    static const struct { long type; const char *text; } sent[] = { { 5, "five" }, { 2, "two" }, { 9, "nine" }, { 2, "deux" }, { 7, "seven" }, { 1, "one" }, { 5, "cinq" } };
    for (int i = 0; i < 7; i++) MUST(put(sent[i].type, sent[i].text, 0));
    about(queue);
    get(0, 64, MSG_COPY);
    get(3, 64, MSG_COPY);
    get(6, 64, MSG_COPY);
    get(7, 64, MSG_COPY);
    get(4, 2, MSG_COPY);
    get(4, 2, MSG_COPY | MSG_NOERROR);
    get(1, 64, MSG_COPY | MSG_EXCEPT);
    struct message m;
    SHOW(msgrcv(queue, &m, 64, 0, MSG_COPY));
    get(9, 64, 0);
    get(3, 64, 0);
    get(-4, 64, 0);
    get(-4, 64, 0);
    get(2, 64, MSG_EXCEPT);
    get(LONG_MIN, 3, 0);
    get(LONG_MIN, 3, MSG_NOERROR);
    get(0, 64, 0);
    get(-1, 64, 0);
    get(5, 64, 0);
    get(0, 64, 0);
    about(queue);

    section("errors");
    SHOW(put(0, "x", 0));
    SHOW(put(-1, "x", 0));
    SHOW(msgsnd(queue, &m, 8193, 0));
    SHOW(msgsnd(queue, &m, (size_t)-1, 0));
    SHOW(msgsnd(queue, (void *)8, 1, 0));
    SHOW(msgsnd(-1, &m, 1, 0));
    SHOW(msgsnd(4711, &(struct message){ .type = 1 }, 1, 0));
    SHOW(msgrcv(queue, &m, (size_t)-1, 0, 0));
    SHOW(msgrcv(-1, &m, 1, 0, 0));
    SHOW(msgrcv(4711, &m, 1, 0, 0));
    MUST(put(1, "lost", 0));
    SHOW(msgrcv(queue, (void *)8, 64, 0, 0));
    get(0, 64, 0);
    MUST(put(1, "", 0));
    SHOW(msgrcv(queue, &m, 0, 0, 0));
    SHOW(msgctl(queue, 99, 0));
    SHOW(msgctl(queue, -1, 0));
    SHOW(msgctl(-1, IPC_STAT, 0));
    SHOW(msgctl(4711, IPC_STAT, 0));
    SHOW(msgctl(queue, IPC_STAT, (void *)8));
    SHOW(msgctl(queue, IPC_SET, (void *)8));
    SHOW(msgctl(queue, IPC_INFO, (void *)8));

    section("waiting");
    pthread_t t[4];
    struct want any = { 0, 64, 0 }, two = { 2, 64, 0 }, small = { 0, 1, 0 }, not_two = { 2, 64, MSG_EXCEPT };
    struct want *wants[] = { &two, &any, &small, &not_two };
    entered = 0;
    for (int i = 0; i < 4; i++) {
        MUST0(pthread_create(&t[i], 0, receiver, wants[i]));
        wait_entered(i + 1);
    }
    MUST(put(1, "a", 0));
    joined(t[1]);
    /* Too long for the next, which is told so. */
    MUST(put(1, "bb", 0));
    joined(t[2]);
    joined(t[3]);
    MUST(put(3, "d", 0));
    MUST(put(2, "c", 0));
    joined(t[0]);
    get(0, 64, 0);
    struct msqid_ds d;
    MUST(msgctl(queue, IPC_STAT, &d));
    d.msg_qbytes = 10;
    SHOW(msgctl(queue, IPC_SET, &d));
    MUST(put(1, "12345678", 0));
    SHOW(put(1, "123", IPC_NOWAIT));
    SHOW(put(1, "12", IPC_NOWAIT));
    SHOW(put(1, "", IPC_NOWAIT));
    get(0, 64, 0);
    get(0, 64, 0);
    get(0, 64, 0);
    /* Without bytes, too, only so many fit. */
    int n = 0;
    while (!put(1, "", IPC_NOWAIT)) n++;
    SHOW(n);
    while (n--) MUST(msgrcv(queue, &m, 0, 0, 0));
    MUST(put(1, "1234567890", 0));
    entered = 0;
    static char *texts[] = { "aaaaaa", "bbbbbb", "cccccc" };
    for (int i = 0; i < 3; i++) {
        MUST0(pthread_create(&t[i], 0, sender, texts[i]));
        wait_entered(i + 1);
    }
    about(queue);
    get(0, 64, 0);
    /* They come in any order. */
    int seen = 0;
    for (int i = 0; i < 3; i++) {
        SHOW(msgrcv(queue, &m, 64, 0, 0));
        seen |= 1 << (m.text[0] - 'a');
    }
    SHOW(seen);
    for (int i = 0; i < 3; i++) joined(t[i]);
    MUST(put(1, "1234567890", 0));
    entered = 0;
    MUST0(pthread_create(&t[0], 0, sender, "more"));
    wait_entered(1);
    d.msg_qbytes = 20;
    SHOW(msgctl(queue, IPC_SET, &d));
    joined(t[0]);
    about(queue);
    get(0, 64, 0);
    get(0, 64, 0);
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction sa = { .sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0 };
        sigaction(SIGUSR1, &sa, 0);
        entered = 0;
        MUST0(pthread_create(&t[0], 0, receiver, &any));
        wait_entered(1);
        pthread_kill(t[0], SIGUSR1);
        joined(t[0]);
        MUST(put(1, "12345678901234567890", 0));
        entered = 0;
        MUST0(pthread_create(&t[0], 0, sender, "x"));
        wait_entered(1);
        pthread_kill(t[0], SIGUSR1);
        joined(t[0]);
        get(0, 64, 0);
    }
    entered = 0;
    MUST0(pthread_create(&t[0], 0, receiver, &any));
    wait_entered(1);
    pthread_cancel(t[0]);
    void *r;
    pthread_join(t[0], &r);
    IS(r == PTHREAD_CANCELED);

    section("what is told");
    struct msginfo info;
    SHOW(msgctl(0, IPC_INFO, (void *)&info));
    printf("%d %d %d %d %d %d %d %d\n", info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni, info.msgssz, info.msgtql, info.msgseg);
    int second = (int)MUST(msgget(IPC_PRIVATE, 0604));
    MUST(put(1, "told", 0));
    SHOW(msgctl(0, MSG_INFO, (void *)&info));
    printf("%d %d %d\n", info.msgpool, info.msgmap, info.msgtql);
    for (int i = -1; i < 3; i++) {
        long n = msgctl(i, MSG_STAT, &d);
        printf("%d: %s\n", i, n < 0 ? errname(errno) : n == queue ? "queue" : n == second ? "second" : "?");
    }
    IS(msgctl(1, MSG_STAT_ANY, &d) == second);
    char text[4096];
    read_file("/proc/sysvipc/msg", text, sizeof text);
    int lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"), lines++) {
        long k, i, mode, bytes, n, s, rc, uid, gid, cuid, cgid;
        if (!lines) puts(line);
        else if (sscanf(line, "%ld %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld", &k, &i, &mode, &bytes, &n, &s, &rc, &uid, &gid, &cuid, &cgid) == 11) {
            printf("%ld %s %ld %ld %ld %ld %ld %ld %ld\n", k, i == queue ? "queue" : "second", mode, bytes, n, uid, gid, cuid, cgid);
            SHOW(strlen(line));
        }
    }
    SHOW(lines);
    MUST(write_file("/proc/sys/kernel/msgmax", "5"));
    MUST(write_file("/proc/sys/kernel/msgmnb", "100"));
    MUST(write_file("/proc/sys/kernel/msgmni", "3"));
    SHOW(put(1, "123456", 0));
    int third = (int)MUST(msgget(IPC_PRIVATE, 0600));
    about(third);
    SHOW(msgget(IPC_PRIVATE, 0600));
    MUST(msgctl(third, IPC_RMID, 0));
    MUST(write_file("/proc/sys/kernel/msgmni", "32000"));

    section("users");
    MUST(msgctl(second, IPC_STAT, &d));
    d.msg_perm.uid = 34;
    d.msg_perm.mode = 0604;
    SHOW(msgctl(second, IPC_SET, &d));
    MUST(setegid(35));
    MUST(seteuid(35));
    int first = queue;
    SHOW(put(1, "x", 0));
    get(0, 64, 0);
    SHOW(msgctl(queue, IPC_STAT, &d));
    SHOW(msgctl(queue, IPC_RMID, 0));
    SHOW(msgget(77, 0400));
    queue = second;
    SHOW(put(1, "x", 0));
    get(0, 64, 0);
    SHOW(msgctl(second, IPC_STAT, &d));
    SHOW(msgctl(second, IPC_SET, &d));
    MUST(seteuid(0));
    MUST(seteuid(34));
    SHOW(put(1, "x", 0));
    d.msg_qbytes = 101;
    SHOW(msgctl(second, IPC_SET, &d));
    d.msg_qbytes = 50;
    SHOW(msgctl(second, IPC_SET, &d));
    MUST(seteuid(0));
    MUST(setegid(0));
    about(second);
    MUST(write_file("/proc/sys/kernel/msgmax", "8192"));
    MUST(write_file("/proc/sys/kernel/msgmnb", "16384"));

    section("removing");
    get(0, 64, 0);
    entered = 0;
    MUST0(pthread_create(&t[0], 0, receiver, &any));
    wait_entered(1);
    SHOW(msgctl(second, IPC_RMID, 0));
    joined(t[0]);
    queue = first;
    MUST(put(1, "1234567890", 0));
    entered = 0;
    MUST0(pthread_create(&t[0], 0, sender, "1234567890"));
    wait_entered(1);
    SHOW(msgctl(queue, IPC_RMID, 0));
    joined(t[0]);
    SHOW(put(1, "x", 0));
    about(queue);
    IS(msgget(77, IPC_CREAT | 0600) != queue);
    SHOW(msgctl(msgget(77, 0), IPC_RMID, 0));
    ipc_cleanup();
    return done();
}
