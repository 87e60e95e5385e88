/* Thousands of clients of one server, from one thread:
     crowd ADDRESS PORT stay CONNECTIONS ACTIVE REQUESTS COUNTERS
       HTTP. With ten connections and then with CONNECTIONS, of which ACTIVE are in use: REQUESTS requests, ten at a
       time. Prints what one cost in each case, as COUNTERS has it, a file that begins with a 64-bit count. In the end
       every connection must still be served.
     crowd ADDRESS PORT come-and-go CONNECTIONS
       `serve.c`. How much memory idle connections take; then CONNECTIONS connections one after the other, some at a
       time: half of them are reset, a quarter each is closed by the server and by the client.
   The exit status shows whether everybody was served. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 10, OPENING = 200, TOGETHER = 48, IDLE = 4000, PATIENCE = 60 };

static struct sockaddr_in server;
static int epoll;
/* Of each connection: the descriptor, and the bytes of the answer that have not arrived; -1: none has. */
static int *sockets, *expected;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what, int i)
{
	printf("%s, connection %d: %s\n", what, i, strerror(errno));
	exit(1);
}

static uint64_t counted(const char *file)
{
	uint64_t n = 0;
	int fd = open(file, O_RDONLY);
	if (fd < 0 || read(fd, &n, sizeof n) != sizeof n)
		fail(file, 0);
	close(fd);
	return n;
}

/* Begins to connect. */
static void begin(int i)
{
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s < 0)
		fail("socket", i);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(s, (void *)&server, sizeof server) && errno != EINPROGRESS)
		fail("connect", i);
	struct epoll_event e = {.events = EPOLLOUT, .data.u32 = i};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, s, &e))
		fail("epoll_ctl", i);
	sockets[i] = s;
}

static int established(int i)
{
	int e = 0;
	socklen_t len = sizeof e;
	getsockopt(sockets[i], SOL_SOCKET, SO_ERROR, &e, &len);
	if ((errno = e))
		fail("connect", i);
	struct epoll_event in = {.events = EPOLLIN, .data.u32 = i};
	return epoll_ctl(epoll, EPOLL_CTL_MOD, sockets[i], &in);
}

/* Waits until the number of open connections is `to`. */
static void open_up(int from, int to)
{
	int next = from, done = from;
	double start = now();
	while (done < to) {
		while (next < to && next - done < OPENING)
			begin(next++);
		struct epoll_event ready[64];
		int n = epoll_wait(epoll, ready, 64, PATIENCE * 1000);
		if (n <= 0)
			fail("nobody connects", done);
		for (int k = 0; k < n; k++, done++)
			if (established(ready[k].data.u32))
				fail("epoll_ctl", done);
	}
	if (to - from > 10)
		printf("%d connected in %.1f s\n", to - from, now() - start);
}

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

static void ask(int i)
{
	expected[i] = -1;
	if (write(sockets[i], request, sizeof request - 1) != sizeof request - 1)
		fail("request", i);
}

/* Reads what is there. Returns whether the answer is complete. */
static int answered(int i)
{
	char b[8192];
	int n = read(sockets[i], b, sizeof b - 1);
	if (n <= 0)
		fail("answer", i);
	b[n] = 0;
	if (expected[i] < 0) {
		char *end = strstr(b, "\r\n\r\n"), *length = strcasestr(b, "content-length:");
		if (strncmp(b, "HTTP/1.1 200", 12) || !end || !length)
			fail("a strange answer", i);
		expected[i] = atoi(length + 15) - (b + n - end - 4);
	} else {
		expected[i] -= n;
	}
	return expected[i] == 0;
}

/* `requests` requests over the first `active` connections in turn, `at_once` at a time, but never two on one. */
static void requests(int active, int requests, int at_once)
{
	int asked = 0, done = 0;
	while (asked < at_once)
		ask(asked++);
	while (done < requests) {
		struct epoll_event ready[64];
		int n = epoll_wait(epoll, ready, 64, PATIENCE * 1000);
		if (n <= 0)
			fail("no answer", done);
		for (int k = 0; k < n; k++)
			if (answered(ready[k].data.u32)) {
				done++;
				if (asked++ < requests)
					ask((ready[k].data.u32 + at_once) % active);
			}
	}
}

static double cost(int active, int n, const char *file)
{
	requests(active, n / 4, AT_ONCE);
	uint64_t before = counted(file);
	requests(active, n, AT_ONCE);
	return (double)(counted(file) - before) / n;
}

static int stay(int connections, int active, int n, const char *file)
{
	open_up(0, AT_ONCE);
	double few = cost(AT_ONCE, n, file);
	open_up(AT_ONCE, connections);
	double many = cost(active, n, file);
	requests(connections, connections, OPENING);
	printf("instructions: %.0f %.0f\n", few, many);
	return 0;
}

/* Waits for an answer to `say`. */
static void talk(int s, const char *say, char *answer, int size)
{
	struct pollfd p = {s, POLLIN, 0};
	if (write(s, say, strlen(say)) < 0 || poll(&p, 1, PATIENCE * 1000) != 1)
		fail("no answer", s);
	int n = read(s, answer, size - 1);
	if (n <= 0)
		fail("answer", s);
	answer[n] = 0;
}

static void usage(int *descriptors, long *free_kib)
{
	char b[64];
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, (void *)&server, sizeof server))
		fail("connect", s);
	/* The server has seen the end of all others when it answers for the second time. */
	for (int i = 0; i < 2; i++)
		talk(s, "?", b, sizeof b);
	if (sscanf(b, "%d %ld", descriptors, free_kib) != 2)
		fail("a strange answer", s);
	close(s);
}

/* `n` connections, some at a time. Which way one ends depends on its slot. */
static void come_and_go(int n)
{
	int begun = 0, done = 0;
	double start = now();
	while (begun < TOGETHER)
		begin(begun++);
	while (done < n) {
		struct epoll_event ready[64];
		int got = epoll_wait(epoll, ready, 64, PATIENCE * 1000);
		if (got <= 0)
			fail("nobody is served", done);
		for (int k = 0; k < got; k++) {
			int i = ready[k].data.u32, server_ends = i % 4 == 2;
			char b[64];
			if (ready[k].events & EPOLLOUT) {
				if (established(i) || write(sockets[i], server_ends ? "c" : "k", 1) != 1)
					fail("request", i);
				continue;
			}
			int size = read(sockets[i], b, sizeof b);
			if (size < 0)
				fail("answer", i);
			if (size > 0 && server_ends)
				continue;
			struct linger reset = {1, 0};
			if (i % 2)
				setsockopt(sockets[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
			close(sockets[i]);
			done++;
			if (begun < n) {
				begin(i);
				begun++;
			}
		}
	}
	printf("%d came and went in %.1f s\n", n, now() - start);
}

static int churn(int n)
{
	int descriptors[3];
	long kib[3];
	come_and_go(2000);
	usage(&descriptors[0], &kib[0]);
	open_up(0, IDLE);
	usage(&descriptors[1], &kib[1]);
	for (int i = 0; i < IDLE; i++)
		close(sockets[i]);
	come_and_go(n);
	usage(&descriptors[2], &kib[2]);
	printf("descriptors: %d %d %d\n", descriptors[0], descriptors[1], descriptors[2]);
	printf("bytes of an idle connection: %ld\n", (kib[0] - kib[1]) * 1024 / IDLE);
	printf("KiB less than before: %ld\n", kib[0] - kib[2]);
	return 0;
}

/* Waits until the server is there. */
static void reach(void)
{
	for (double start = now();; usleep(20000)) {
		int s = socket(AF_INET, SOCK_STREAM, 0), good = !connect(s, (void *)&server, sizeof server);
		close(s);
		if (good)
			return;
		if (now() > start + PATIENCE)
			fail("nobody is there", 0);
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (argc < 5)
		return 2;
	int n = atoi(argv[4]);
	server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr = {inet_addr(argv[1])}};
	epoll = epoll_create1(0);
	int most = n > IDLE ? n : IDLE;
	sockets = calloc(most, sizeof *sockets);
	expected = calloc(most, sizeof *expected);
	reach();
	if (!strcmp(argv[3], "stay") && argc == 8)
		return stay(n, atoi(argv[5]), atoi(argv[6]), argv[7]);
	return strcmp(argv[3], "come-and-go") ? 2 : churn(n);
}
