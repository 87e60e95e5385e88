// Cancellation: deferred at cancellation points, disabled, asynchronous, cleanup handlers in order.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>

static sem_t ready;
static int pipefd[2], pair[2];
static volatile int go_on, spins;

static void cleanup(void *what) { printf("cleanup %s\n", (char *)what); }

static void *in_read(void *arg)
{
    char c;
    (void)arg;
    pthread_cleanup_push(cleanup, "outer");
    pthread_cleanup_push(cleanup, "inner");
    sem_post(&ready);
    read(pipefd[0], &c, 1);
    printf("read returned\n");
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return 0;
}

static void *in_recv(void *arg) { char c; sem_post(&ready); recv(pair[0], &c, 1, 0); return arg; }
static void *in_sleep(void *arg) { sem_post(&ready); sleep(1000); return arg; }
static void *in_pause(void *arg) { sem_post(&ready); pause(); return arg; }

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv = PTHREAD_COND_INITIALIZER;
static void unlock(void *p) { printf("cleanup holds the mutex: %s\n", errname(pthread_mutex_trylock(p))); pthread_mutex_unlock(p); }

static void *in_cond(void *arg)
{
    pthread_mutex_lock(&m);
    pthread_cleanup_push(unlock, &m);
    sem_post(&ready);
    for (;;) pthread_cond_wait(&cv, &m);
    pthread_cleanup_pop(1);
    return arg;
}

static void *masked(void *arg)
{
    int old;
    (void)arg;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    sem_post(&ready);
    while (!go_on) sleep_ms(1);
    pthread_testcancel();
    printf("not cancelled while disabled\n");
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
    pthread_testcancel();
    printf("not reached\n");
    return 0;
}

static void *async(void *arg)
{
    int old;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    sem_post(&ready);
    for (;;) spins++;
    return arg;
}

static void *finishes(void *arg) { sem_post(&ready); return arg; }

static void run(const char *name, void *(*f)(void *))
{
    pthread_t t;
    void *r;
    go_on = 0;
    section(name);
    MUST0(pthread_create(&t, 0, f, (void *)1));
    sem_wait(&ready);
    sleep_ms(10);
    int e = pthread_cancel(t);
    go_on = 1;
    SHOWE(pthread_join(t, &r));
    SHOWE(e);
    printf("%s\n", r == PTHREAD_CANCELED ? "cancelled" : "returned");
}

int main(void)
{
    MUST(pipe(pipefd));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    MUST(sem_init(&ready, 0, 0));
    run("read", in_read);
    run("recv", in_recv);
    run("sleep", in_sleep);
    run("pause", in_pause);
    run("cond wait", in_cond);
    run("disabled", masked);
    run("asynchronous", async);
    run("ended before", finishes);
    section("pending before the cancellation point");
    MUST(write(pipefd[1], "x", 1));
    char c;
    SHOW(read(pipefd[0], &c, 1));
    return done();
}
