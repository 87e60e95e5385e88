// SA_RESTART restarts the calls that Linux restarts; others give EINTR; nanosleep returns the remaining time.
//@ smp 2
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

static pthread_t target;
static int p[2];
static volatile int count, feed;
static void handler(int s) { (void)s; count++; }

static void *poke(void *arg)
{
    (void)arg;
    sleep_ms(30);
    pthread_kill(target, SIGUSR1);
    sleep_ms(30);
    if (feed) write(p[1], "x", 1);
    return 0;
}

static pthread_t poker;
static void begin(int flags, int feeding)
{
    struct sigaction a = { .sa_handler = handler, .sa_flags = flags };
    sigaction(SIGUSR1, &a, 0);
    feed = feeding;
    count = 0;
    MUST0(pthread_create(&poker, 0, poke, 0));
}

static void end(void) { pthread_join(poker, 0); printf("handled %d\n", count); }

int main(void)
{
    char c;
    target = pthread_self();
    MUST(pipe(p));
    section("without SA_RESTART");
    begin(0, 0), SHOW(read(p[0], &c, 1)), end();
    section("with SA_RESTART");
    begin(SA_RESTART, 1), SHOW(read(p[0], &c, 1)), end();
    struct pollfd f = { p[0], POLLIN, 0 };
    begin(SA_RESTART, 0), SHOW(poll(&f, 1, 5000)), end();
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    begin(SA_RESTART, 0), SHOW(select(p[0] + 1, &r, 0, 0, 0)), end();
    int ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = { EPOLLIN, { 0 } };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    begin(SA_RESTART, 0), SHOW(epoll_wait(ep, &e, 1, 5000)), end();
    begin(SA_RESTART, 0), SHOW(usleep(3000000)), end();
    struct timespec t = { 3, 0 }, left = { 0, 0 };
    begin(SA_RESTART, 0), SHOW(nanosleep(&t, &left)), end();
    IS(left.tv_sec >= 1 && left.tv_sec < 3);
    begin(SA_RESTART, 0), SHOWE(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &left)), end();
    IS(left.tv_sec >= 1 && left.tv_sec < 3);
    begin(SA_RESTART, 0), SHOW(sleep(3) >= 1), end();
    begin(SA_RESTART, 0), SHOW(pause()), end();
    sem_t sem;
    MUST(sem_init(&sem, 0, 0));
    begin(0, 0), SHOW(sem_wait(&sem)), end();
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    begin(0, 0), SHOW(recv(pair[0], &c, 1, 0)), end();
    struct timeval tv = { 10, 0 };
    MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    begin(SA_RESTART, 0), SHOW(recv(pair[0], &c, 1, 0)), end();
    section("interrupted write keeps what was done");
    static char block[300000];
    begin(SA_RESTART, 0);
    SHOW(write(p[1], block, sizeof block));
    end();
    return done();
}
