// Record locks, locks of open descriptions, flock: which conflict, waiting, and what ends a lock.
//@ shows flock
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>

static int held;

static struct flock range(short kind, off_t start, off_t len)
{
    return (struct flock){ .l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static void *release(void *arg)
{
    (void)arg;
    struct flock l = range(F_UNLCK, 0, 0);
    sleep_ms(150);
    MUST(fcntl(held, F_OFD_SETLK, &l));
    return NULL;
}

static void *release_flock(void *arg)
{
    (void)arg;
    sleep_ms(150);
    MUST(flock(held, LOCK_UN));
    return NULL;
}

static void on_alarm(int signo) { (void)signo; }

static void show(const struct flock *l)
{
    const char *kind = l->l_type == F_UNLCK ? "none" : l->l_type == F_RDLCK ? "shared" : "exclusive";
    const char *who = l->l_pid == -1 ? "a description" : l->l_pid == getpid() ? "this" : l->l_pid == 0 ? "nobody" : "?";
    printf("  %s from %ld for %ld, %s\n", kind, (long)l->l_start, (long)l->l_len, who);
}

int main(void)
{
    struct flock l;
    pthread_t thread;
    int p[2];
    enter_scratch();
    int a = (int)MUST(open("f", O_RDWR | O_CREAT, 0644)), b = (int)MUST(open("f", O_RDWR));
    MUST(ftruncate(a, 1000));

    section("one process");
    l = range(F_WRLCK, 0, 10);
    SHOW(fcntl(a, F_SETLK, &l));
    SHOW(fcntl(b, F_SETLK, &l));
    SHOW(fcntl(b, F_GETLK, &l));
    show(&l);

    section("a description against the process");
    l = range(F_WRLCK, 5, 10);
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    SHOW(fcntl(b, F_OFD_GETLK, &l));
    show(&l);
    l = range(F_WRLCK, 10, 10);
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    l = range(F_RDLCK, 0, 0);
    SHOW(fcntl(a, F_GETLK, &l));
    show(&l);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, 0, 12);
    SHOW(fcntl(a, F_SETLK, &l));

    section("closing");
    int c = (int)MUST(dup(a));
    l = range(F_WRLCK, 0, 5);
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    // Any close of the file by the process ends the process's locks, but not those of descriptions.
    MUST(close(c));
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    c = (int)MUST(dup(b)), MUST(close(b));
    l = range(F_WRLCK, 0, 5);
    SHOW(fcntl(a, F_SETLK, &l));
    MUST(close(c));
    l = range(F_WRLCK, 0, 5);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_UNLCK, 0, 0);
    SHOW(fcntl(a, F_SETLK, &l));

    section("waiting");
    held = (int)MUST(open("f", O_RDWR));
    l = range(F_WRLCK, 0, 0);
    SHOW(fcntl(held, F_OFD_SETLK, &l));
    pthread_create(&thread, NULL, release, NULL);
    SHOW(fcntl(a, F_SETLKW, &l));
    pthread_join(thread, NULL);
    l = range(F_WRLCK, 0, 0);
    SHOW(fcntl(held, F_OFD_SETLK, &l));
    sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0, 100000 } }, NULL);
    SHOW(fcntl(held, F_OFD_SETLKW, &l));

    section("arguments");
    int r = (int)MUST(open("f", O_RDONLY)), w = (int)MUST(open("f", O_WRONLY));
    l = range(F_WRLCK, 0, 1);
    SHOW(fcntl(r, F_SETLK, &l));
    l = range(F_RDLCK, 0, 1);
    SHOW(fcntl(w, F_SETLK, &l));
    l.l_pid = 5;
    SHOW(fcntl(r, F_OFD_SETLK, &l));
    l = range(7, 0, 1);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, -5, 1);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, 5, -3);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, 5, -6);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, INT64_MAX, 2);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, 0, 1), l.l_whence = 9;
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, -10, 5), l.l_whence = SEEK_END;
    SHOW(fcntl(a, F_SETLK, &l));
    MUST(pipe(p));
    SHOW(lockf(a, F_TEST, 10));

    section("flock");
    int x = (int)MUST(open("f", O_RDONLY)), y = (int)MUST(open("f", O_RDONLY));
    SHOW(flock(x, LOCK_EX));
    SHOW(flock(y, LOCK_EX | LOCK_NB));
    SHOW(flock(y, LOCK_SH | LOCK_NB));
    SHOW(flock(x, LOCK_SH));
    SHOW(flock(y, LOCK_SH | LOCK_NB));
    SHOW(flock(x, LOCK_EX | LOCK_NB));
    SHOW(flock(y, LOCK_UN));
    SHOW(flock(x, LOCK_EX | LOCK_NB));
    held = x;
    pthread_create(&thread, NULL, release_flock, NULL);
    SHOW(flock(y, LOCK_EX));
    pthread_join(thread, NULL);
    MUST(close(y));
    SHOW(flock(x, LOCK_EX | LOCK_NB));
    SHOW(flock(x, 0));
    SHOW(flock(x, LOCK_SH | LOCK_EX));
    SHOW(flock(-1, LOCK_SH));
    return done();
}
