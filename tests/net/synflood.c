/* synflood IFACE ADDRESS MAC RATE SECONDS: so many SYNs a second from random addresses to the port of an echo server. A
   connection that was there before goes on meanwhile, and new clients get in, or at least one does within two seconds
   of the end. Prints how it went; the exit status shows success. Where the server gets too little of the processor, most
   of the frames are lost on the way to it, those of clients, too: the old connection may then need some repetitions. */
#include "raw.h"
#include <pthread.h>
#include <stdlib.h>

enum { PORT = 7080, PATIENCE_MS = 2000, OLD_MS = 15000, HANDFUL = 10 };

static int rate, total;
static volatile int sent;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void *flood(void *unused)
{
	uint64_t r = 88172645463325252;
	double start = now();
	while (sent < total) {
		for (int i = 0; i < HANDFUL; i++, sent++) {
			r ^= r << 13, r ^= r >> 7, r ^= r << 17;
			syn(htonl(0x0b000000 | (r & 0xffffff) | 1), 1024 + (r >> 24 & 0x7fff), PORT, r >> 32);
		}
		double early = start + sent * 1e3 / rate - now();
		if (early > 0)
			usleep(early * 1e3);
	}
	return unused;
}

static int client(int ms)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval limit = {ms / 1000, ms % 1000 * 1000};
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {target}};
	if (!connect(s, (void *)&to, sizeof to))
		return s;
	close(s);
	return -1;
}

/* Milliseconds for an echo; a lot if there is none. */
static double echoes(int s)
{
	char b[8];
	double start = now();
	return s >= 0 && write(s, "hello", 5) == 5 && read(s, b, sizeof b) == 5 ? now() - start : 1e6;
}

/* The same for a new client, with its connection. */
static double enters(void)
{
	double start = now();
	int s = client(PATIENCE_MS), good = s >= 0 && echoes(s) < 1e6;
	close(s);
	return good ? now() - start : 1e6;
}

int main(int argc, char **argv)
{
	pthread_t t;
	if (argc != 6 || !attach(0, argv[1], argv[2], argv[3]))
		return 2;
	rate = atoi(argv[4]);
	total = rate * atoi(argv[5]);
	int old = client(OLD_MS);
	if (echoes(old) == 1e6)
		return perror("before the flood"), 2;
	pthread_create(&t, 0, flood, 0);
	int echoed = 0, tried = 0, entered = 0;
	double worst = 0, slowest = 0, start = now();
	while (sent < total) {
		double took = echoes(old);
		worst = took > worst ? took : worst;
		echoed++;
		if (worst == 1e6)
			break;
		usleep(50000);
		if (echoed % 4)
			continue;
		took = enters();
		tried++;
		entered += took < 1e6;
		slowest = took < 1e6 && took > slowest ? took : slowest;
	}
	double lasted = now() - start;
	pthread_join(t, 0);
	double after = enters();
	printf("%d SYNs in %.1f s\n%d echoes, the slowest in %.0f ms\n", sent, lasted / 1e3, echoed, worst);
	printf("%d of %d clients got in, the slowest in %.0f ms\none after it in %.0f ms\n", entered, tried, slowest, after);
	return worst == 1e6 || (!entered && after > PATIENCE_MS);
}
