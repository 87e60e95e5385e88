/* Floods a guest from addresses that do not exist, forges the host's own Ethernet address, and meanwhile connects to it
   like any client: flood IFACE ADDRESS MAC. Prints the slowest connection, in ms; the exit status shows success. */
#include "raw.h"
#include <pthread.h>
#include <stdlib.h>

enum { RATE = 3000, LIMIT_MS = 5000 };
static volatile int kind, done;

static void *floods(void *unused)
{
	unsigned r = 1;
	for (int i = 0; kind < 4; i++) {
		r = r * 1103515245 + 12345;
		uint32_t from = htonl(0x0b000000 | (r >> 4 & 0xffffff) | 1);
		if (kind == 1)
			syn(from, 1024 + (r >> 16 & 0x7fff), 7080, r);
		else if (kind == 2)
			datagram(from, target, 7082, "nobody reads this, and it is not short either, so that it takes memory", 0);
		/* Claims that the host's address has moved. */
		uint8_t a[42] = {0};
		memcpy(a, mac, 6);
		memcpy(a + 6, mine, 6);
		memcpy(a + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02", 10);
		memcpy(a + 22, mine, 6);
		uint32_t host = (target & htonl(0xffffff00)) | htonl(1);
		memcpy(a + 28, &host, 4);
		memcpy(a + 32, mac, 6);
		memcpy(a + 38, &target, 4);
		if (i % 10 == 0)
			out(a, 42);
		usleep(i % 10 ? 0 : 10 * 1000000 / RATE);
	}
	done = 1;
	return unused;
}

/* How long a connection and its echo took. */
static int served(int port)
{
	struct timespec a, b;
	char text[8] = "";
	clock_gettime(CLOCK_MONOTONIC, &a);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval limit = {LIMIT_MS / 1000, 0};
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {target}};
	int good = !connect(s, (void *)&to, sizeof to) && write(s, "hello", 5) == 5 && read(s, text, 8) == 5;
	if (!good)
		perror("not served");
	close(s);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return good ? (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 : 1000000;
}

int main(int argc, char **argv)
{
	pthread_t t;
	if (argc != 4 || !attach(0, argv[1], argv[2], argv[3]) || served(7080) == 1000000)
		return 2;
	kind = 1;
	pthread_create(&t, 0, floods, 0);
	int bad = 0;
	static const char *const names[] = {"", "SYN flood", "UDP flood", "after both"};
	for (; kind < 4; kind++) {
		int worst = 0;
		/* A flood needs a second or two to fill everything. */
		usleep(kind < 3 ? 2000000 : 0);
		for (int i = 0; i < 8; i++) {
			int took = served(7080 + i % 2);
			worst = took > worst ? took : worst;
			usleep(200000);
		}
		printf("%s: %d ms\n", names[kind], worst);
		bad |= worst >= LIMIT_MS;
	}
	pthread_join(t, 0);
	return bad;
}
