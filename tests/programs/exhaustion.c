// Everything that needs memory, until there is none left: an error, and the program continues.
//@ memory 16M
//@ hosted no
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define MIB (1ul << 20)

/* Allocates and writes blocks of `size` until malloc fails; returns the bytes. */
static size_t blocks(size_t size)
{
    void *head = 0;
    size_t n = 0;
    for (char *p; (p = malloc(size)); n++) {
        memset(p, 1, size);
        *(void **)p = head;
        head = p;
    }
    bool refused = errno == ENOMEM;
    while (head) {
        void *next = *(void **)head;
        free(head);
        head = next;
    }
    return refused ? n * size : 0;
}

static size_t pages(size_t size)
{
    char *m[4096];
    size_t n = 0;
    while (n < 4096 && (m[n] = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
        memset(m[n++], 1, size);
    bool refused = errno == ENOMEM;
    for (size_t i = 0; i < n; i++) munmap(m[i], size);
    return refused ? n * size : 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *use_stack(void *x)
{
    volatile char b[3000];
    for (size_t i = 0; i < sizeof b; i += 1000) b[i] = 1;
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    return x;
}

static int threads(size_t stack)
{
    static pthread_t t[8000];
    pthread_attr_t a;
    int n = 0, r = 0;
    MUST0(pthread_attr_init(&a));
    MUST0(pthread_attr_setstacksize(&a, stack));
    pthread_mutex_lock(&lock);
    while (n < 8000 && !(r = pthread_create(t + n, &a, use_stack, 0))) n++;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < n; i++) pthread_join(t[i], 0);
    return r == EAGAIN ? n : -1;
}

static volatile int more = 1;

static void *churn(void *x)
{
    size_t size = (size_t)x;
    long failed = 0;
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    while (more) {
        char *p[64];
        int n = 0;
        while (n < 64 && (p[n] = malloc(size))) memset(p[n++], 1, size);
        failed += n < 64;
        while (n) free(p[--n]);
    }
    return (void *)failed;
}

int main(void)
{
    only_in_vm();
    section("malloc");
    for (int i = 0; i < 3; i++) IS(blocks(100) > 8 * MIB);
    for (int i = 0; i < 3; i++) IS(blocks(5000) > 8 * MIB);
    IS(blocks(70000) > 4 * MIB);

    section("mmap");
    for (int i = 0; i < 2; i++) IS(pages(100000) > 4 * MIB);
    IS(pages(3 * MIB) > 2 * MIB);

    section("threads");
    IS(threads(8 * MIB) > 50);
    IS(threads(131072) > 50);
    IS(threads(16384) > 50);

    section("threads that allocate");
    pthread_t t[6];
    void *failed;
    int done_well = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 6; i++) MUST0(pthread_create(t + i, 0, churn, (void *)(20000ul + 30000 * i)));
    pthread_mutex_unlock(&lock);
    sleep_ms(1500);
    more = 0;
    for (int i = 0; i < 6; i++) done_well += pthread_join(t[i], &failed) == 0;
    SHOW(done_well);

    section("files, sockets");
    int fd = open("/tmp/full", O_CREAT | O_WRONLY, 0600), pair[2], n = 0;
    static char b[65536];
    ssize_t w = 0;
    while ((w = write(fd, b, sizeof b)) > 0) n++;
    IS(w == -1 && (errno == ENOSPC || errno == ENOMEM) && n > 10);
    SHOW(unlink("/tmp/full"));
    SHOW(close(fd));
    n = 0;
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0) {
        /* Large messages, and small ones. */
        while (write(pair[0], b, n % 2 ? 100 : sizeof b) > 0) {}
        n++;
    }
    IS(n > 10 && (errno == EMFILE || errno == ENOMEM || errno == ENOBUFS || errno == ENFILE));
    char *p = malloc(100);
    IS(p || errno == ENOMEM);
    return done();
}
