/* How many instructions an operation takes: for each, a line with its name and a number. Run by tests/harness/src/bench.rs
 * in a machine whose counter counts instructions, where the numbers are exact; the limits are there. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned long counter(void)
{
	unsigned low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (unsigned long)high << 32;
}

/* Counts `times` turns, the first of which are not counted: they touch memory and fill caches. The least of three, since
 * the timer interrupts some. The loop's own two or three instructions are included. */
#define COUNT(name, times, ...) do { \
	unsigned long least = -1UL; \
	for (int round = 0; round < 4; round++) { \
		unsigned long begin = counter(); \
		for (int i = 0; i < (times); i++) { __VA_ARGS__; } \
		unsigned long taken = (counter() - begin) / (times); \
		if (round && taken < least) least = taken; \
	} \
	printf("%s %lu\n", name, least); \
} while (0)
#define MUST(x) do { if (!(x)) { perror(#x); exit(1); } } while (0)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn;

static void *nothing(void *arg) { return arg; }

static void pass(int mine, int next)
{
	pthread_mutex_lock(&lock);
	while (turn != mine) pthread_cond_wait(&changed, &lock);
	turn = next;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static volatile int ending;

static void *partner(void *arg)
{
	while (!ending) pass(1, 0);
	return arg;
}

static void threads(void)
{
	pthread_t t;

	COUNT("thread", 200, MUST(!pthread_create(&t, 0, nothing, 0)); MUST(!pthread_join(t, 0)));
}

static void hand_over(void)
{
	pthread_t t;

	MUST(!pthread_create(&t, 0, partner, 0));
	COUNT("condition", 500, pass(0, 1));
	ending = 1;
	pass(0, 1);
	MUST(!pthread_join(t, 0));
}

int main(void)
{
	struct timespec time;

	COUNT("getppid", 1000, syscall(SYS_getppid));
	COUNT("gettid", 1000, gettid());
	COUNT("clock_gettime", 1000, clock_gettime(CLOCK_MONOTONIC, &time));
	COUNT("clock_gettime-realtime", 1000, clock_gettime(CLOCK_REALTIME, &time));
	COUNT("sched_yield", 1000, sched_yield());
	/* The way in and out, with a handler that looks up nothing. */
	COUNT("entry", 1000, syscall(SYS_close, -1));
	threads();
	hand_over();
	return 0;
}
