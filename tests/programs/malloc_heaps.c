// Threads that come and go: the heap of one that has ended serves the next, whatever is still in use.
//@ smp 2
//@ memory 64M
#include "test.h"
#include <pthread.h>
#include <semaphore.h>

enum { BLOCKS = 200, ROUNDS = 100, CROWD = 12 };

static unsigned char *block[BLOCKS];
static sem_t go, there;

static size_t size_of(int i) { return 16 + i * 37 % 1500; }

static void fill(int seed)
{
    for (int i = 0; i < BLOCKS; i++) {
        MUST((block[i] = malloc(size_of(i))) ? 0 : -1);
        memset(block[i], seed + i, size_of(i));
    }
}

static int wrong(int seed)
{
    int bad = 0;
    for (int i = 0; i < BLOCKS; i++)
        for (size_t k = 0; k < size_of(i); k++)
            bad += block[i][k] != (unsigned char)(seed + i);
    return bad;
}

static void empty(void)
{
    for (int i = 0; i < BLOCKS; i++) free(block[i]);
}

static void run(void *(*f)(void *), long arg)
{
    pthread_t t;
    MUST0(pthread_create(&t, 0, f, (void *)arg));
    MUST0(pthread_join(t, 0));
}

static void *one_block(void *arg)
{
    unsigned char *p = malloc(100);
    MUST(p ? 0 : -1);
    memset(p, (int)(long)arg, 100);
    free(p);
    return 0;
}

static void *fill_thread(void *arg) { fill((int)(long)arg); return 0; }
static void *fill_and_empty(void *arg) { fill((int)(long)arg); empty(); return 0; }
static void *empty_thread(void *arg) { (void)arg; empty(); return 0; }

// Has a block of its own, frees those of others, and ends.
static void *own_and_empty(void *arg)
{
    unsigned char *p = malloc(1000);
    MUST(p ? 0 : -1);
    memset(p, (int)(long)arg, 1000);
    empty();
    int bad = 0;
    for (int i = 0; i < 1000; i++) bad += p[i] != (unsigned char)(long)arg;
    free(p);
    return (void *)(long)bad;
}

static void *one_of_many(void *arg)
{
    unsigned char *p = malloc(3000);
    MUST(p ? 0 : -1);
    memset(p, 1, 3000);
    sem_post(&there);
    sem_wait(&go);
    free(p);
    return arg;
}

static pthread_key_t key;

// A destructor that allocates, after the heap may have gone.
static void late(void *p)
{
    free(p);
    void *volatile q = malloc(50);
    free(q);
}

static void *with_key(void *arg)
{
    MUST0(pthread_setspecific(key, malloc(64)));
    return arg;
}

int main(void)
{
    int bad = 0;
    for (int i = 0; i < ROUNDS; i++) run(one_block, i);

    // What a thread leaves behind stays valid; others free it, on stacks where threads were before.
    for (int i = 0; i < ROUNDS; i++) {
        run(fill_thread, i);
        run(one_block, i);
        bad += wrong(i);
        if (i % 3 == 0) run(empty_thread, 0);
        else if (i % 3 == 1) run(own_and_empty, i);
        else empty();
        run(fill_and_empty, i);
    }
    SHOW(bad);

    // More threads at once than heaps are kept.
    MUST0(sem_init(&go, 0, 0));
    MUST0(sem_init(&there, 0, 0));
    for (int round = 0; round < 20; round++) {
        pthread_t t[CROWD];
        for (int i = 0; i < CROWD; i++) MUST0(pthread_create(&t[i], 0, one_of_many, 0));
        for (int i = 0; i < CROWD; i++) sem_wait(&there);
        for (int i = 0; i < CROWD; i++) sem_post(&go);
        for (int i = 0; i < CROWD; i++) MUST0(pthread_join(t[i], 0));
    }

    MUST0(pthread_key_create(&key, late));
    for (int i = 0; i < ROUNDS; i++) run(with_key, 0);
    fill(7);
    SHOW(wrong(7));
    empty();
    return done();
}
