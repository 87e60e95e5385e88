// Threads in /proc: number, name, state and time of each; writing names; what an open file there shows.
//@ smp 2
//@ shows gettid
#include "test.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int ready[2], leave[2], spin_tid, sleep_tid;
static volatile bool stop;

static char *text(const char *path)
{
    static char buf[4][4096];
    static int next;
    char *b = buf[next++ % 4];
    int fd = open(path, O_RDONLY);
    if (fd < 0) return strcpy(b, errname(errno));
    ssize_t n = read(fd, b, sizeof *buf - 1);
    if (n < 0) strcpy(b, errname(errno)), n = (ssize_t)strlen(b);
    b[n] = 0;
    close(fd);
    return b;
}

/* A file of a thread's folder. */
static char *of(int tid, const char *name)
{
    char path[100];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, name);
    return text(path);
}

/* A field of stat, after the name; 3 is the state. */
static long field(const char *stat, int n)
{
    const char *p = strrchr(stat, ')');
    if (!p) return -1;
    for (p++; n > 2; n--) p += *p ? strcspn(p + 1, " ") + 1 : 0;
    while (p[-1] != ' ' && p[-1] != ')') p--;
    return strtol(p, NULL, 10);
}

static char state(const char *stat)
{
    const char *p = strrchr(stat, ')');
    return p ? p[2] : '?';
}

static long status_number(const char *status, const char *name)
{
    const char *p = strstr(status, name);
    return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

static void *sleeper(void *arg)
{
    char c;
    (void)arg;
    sleep_tid = (int)syscall(SYS_gettid);
    prctl(PR_SET_NAME, "sleeper");
    MUST(write(ready[1], "s", 1));
    MUST(read(leave[0], &c, 1));
    return NULL;
}

static void *spinner(void *arg)
{
    (void)arg;
    spin_tid = (int)syscall(SYS_gettid);
    prctl(PR_SET_NAME, "spin (a) b");
    MUST(write(ready[1], "r", 1));
    while (!stop) {}
    return NULL;
}

static void *reads_itself(void *arg)
{
    char buf[100], want[100];
    (void)arg;
    int tid = (int)syscall(SYS_gettid);
    prctl(PR_SET_NAME, "itself");
    ssize_t n = readlink("/proc/thread-self", buf, sizeof buf - 1);
    snprintf(want, sizeof want, "%d/task/%d", getpid(), tid);
    IS(n == (ssize_t)strlen(want) && !memcmp(buf, want, (size_t)n));
    printf("%s", text("/proc/thread-self/comm"));
    printf("%s", text("/proc/self/comm"));
    IS(strtol(text("/proc/thread-self/stat"), NULL, 10) == tid);
    IS(strtol(text("/proc/self/stat"), NULL, 10) == getpid());
    IS(state(text("/proc/thread-self/stat")) == 'R');
    return NULL;
}

int main(void)
{
    pthread_t t[3];
    char c, path[100], buf[100];
    int pid = getpid();
    enter_scratch();
    MUST(pipe(ready)), MUST(pipe(leave));
    prctl(PR_SET_NAME, "main");
    MUST0(pthread_create(&t[0], NULL, sleeper, NULL));
    MUST0(pthread_create(&t[1], NULL, spinner, NULL));
    MUST(read(ready[0], &c, 1)), MUST(read(ready[0], &c, 1));
    // The sleeper reports ready before it sleeps, and the spinner must run for a measurable time.
    for (int i = 0; i < 500 && (state(of(sleep_tid, "stat")) != 'S' || field(of(spin_tid, "stat"), 14) < 10); i++) sleep_ms(10);

    section("threads");
    int ids[] = { pid, sleep_tid, spin_tid };
    for (int i = 0; i < 3; i++) {
        char *stat = of(ids[i], "stat"), *status = of(ids[i], "status");
        printf("%s", of(ids[i], "comm"));
        printf("%.*s\n", (int)(strrchr(stat, ')') - strchr(stat, '(') + 3), strchr(stat, '('));
        printf("%.*s\n", (int)strcspn(status, "\n"), status);
        printf("%.*s\n", (int)strcspn(strstr(status, "State:"), "\n"), strstr(status, "State:"));
        IS(strtol(stat, NULL, 10) == ids[i]);
        IS(status_number(status, "\nPid:") == ids[i] && status_number(status, "\nTgid:") == pid);
        IS(status_number(status, "\nThreads:") == 3 && field(stat, 20) == 3);
    }
    IS(field(of(spin_tid, "stat"), 14) + field(of(spin_tid, "stat"), 15) >= 10);
    IS(field(of(sleep_tid, "stat"), 14) + field(of(sleep_tid, "stat"), 15) <= 2);
    IS(field(text("/proc/self/stat"), 14) + field(text("/proc/self/stat"), 15) >= 5);
    int count = 0, found = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; (e = readdir(d));)
        if (*e->d_name != '.') {
            count++;
            for (int i = 0; i < 3; i++) found += atoi(e->d_name) == ids[i];
        }
    closedir(d);
    IS(count == 3 && found == 3);

    section("names");
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", sleep_tid);
    int fd = (int)MUST(open(path, O_RDWR));
    SHOW(write(fd, "renamed", 7));
    printf("%s", of(sleep_tid, "comm"));
    SHOW(read(fd, buf, sizeof buf));
    printf("%.8s", buf);
    SHOW(write(fd, "a name that is too long", 23));
    printf("%s", of(sleep_tid, "comm"));
    SHOW(pread(fd, buf, sizeof buf, 0));
    printf("%.16s", buf);
    SHOW(write(fd, "line\n", 5));
    printf("%s", of(sleep_tid, "comm"));
    SHOW(write(fd, "zero\0rest", 9));
    printf("%s", of(sleep_tid, "comm"));
    SHOW(pwrite(fd, "at", 2, 5));
    printf("%s", of(sleep_tid, "comm"));
    SHOW(write(fd, "", 0));
    printf("%s", of(sleep_tid, "comm"));
    SHOW(write(fd, (void *)8, 4));
    IS(pthread_getname_np(t[0], buf, sizeof buf) == 0);
    printf("'%s'\n", buf);
    SHOWE(pthread_setname_np(t[0], "by libc"));
    printf("%s", of(sleep_tid, "comm"));
    SHOWE(pthread_setname_np(t[0], "sixteen letters!"));
    int other = (int)MUST(open("/proc/self/comm", O_WRONLY | O_TRUNC));
    SHOW(write(other, "leader", 6));
    MUST(prctl(PR_GET_NAME, buf));
    printf("%s\n", buf);
    struct stat st;
    MUST(fstat(other, &st));
    printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
    other = (int)MUST(open("/proc/self/stat", O_RDWR));
    SHOW(write(other, "x", 1) == -1);

    section("an open file");
    // Reading from the start gives new content; from elsewhere, the rest of the old.
    MUST(prctl(PR_SET_NAME, "first"));
    fd = (int)MUST(open("/proc/self/comm", O_RDONLY));
    SHOW(read(fd, buf, 2));
    MUST(prctl(PR_SET_NAME, "second"));
    SHOW(read(fd, buf + 2, 50));
    printf("%.6s", buf);
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(read(fd, buf, 50));
    printf("%.7s", buf);
    SHOW(read(fd, buf, 50));

    section("itself");
    MUST0(pthread_create(&t[2], NULL, reads_itself, NULL));
    pthread_join(t[2], NULL);

    section("the end of a thread");
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", spin_tid);
    fd = (int)MUST(open(path, O_RDONLY));
    int comm = (int)MUST(open((snprintf(path, sizeof path, "/proc/self/task/%d/comm", spin_tid), path), O_RDWR));
    snprintf(path, sizeof path, "/proc/self/task/%d", spin_tid);
    int dir = (int)MUST(open(path, O_RDONLY | O_DIRECTORY));
    stop = true;
    MUST(write(leave[1], "x", 1));
    pthread_join(t[0], NULL), pthread_join(t[1], NULL);
    // A joined thread may not be gone yet.
    for (int i = 0; i < 500 && access(path, F_OK) == 0; i++) sleep_ms(10);
    SHOW(access(path, F_OK));
    SHOW(read(fd, buf, sizeof buf));
    SHOW(read(comm, buf, sizeof buf));
    SHOW(write(comm, "x", 1));
    SHOW(openat(dir, "stat", O_RDONLY));
    printf("threads %ld\n", status_number(text("/proc/self/status"), "\nThreads:"));

    section("limits of the system");
    IS(atol(text("/proc/sys/fs/file-max")) > 1000);
    IS(atol(text("/proc/sys/fs/nr_open")) > 1000);
    IS(atol(text("/proc/sys/fs/inotify/max_queued_events")) == 16384);
    IS(atol(text("/proc/sys/fs/inotify/max_user_watches")) > 1000);
    return done();
}
