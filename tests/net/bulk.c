/* Large answers, and how they leave the machine that gives them. Run as
     bulk serve                          answers each request, a byte, with 64 KiB
     bulk fetch IFACE ADDRESS4 ADDRESS6  asks for some of them, checks every byte, and prints how many packets with data
                                         came in on that interface for each, as the interface gets them */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7090, SIZE = 65536, ROUNDS = 20 };

static unsigned char pattern(int round, int i)
{
	return i * 7 + (i >> 8) + round;
}

static int serve(void)
{
	static char answer[SIZE];
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	int l = socket(AF_INET6, SOCK_STREAM, 0);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(l, (void *)&any, sizeof any) || listen(l, 4))
		return perror("serve"), 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		unsigned char round;
		int s = accept(l, 0, 0);
		if (s < 0)
			return perror("accept"), 1;
		while (read(s, &round, 1) == 1) {
			for (int i = 0; i < SIZE; i++)
				answer[i] = pattern(round, i);
			if (write(s, answer, SIZE) != SIZE)
				return perror("write"), 1;
		}
		close(s);
	}
}

/* Packets with TCP data that came since the last call; the longest is remembered. */
static int packets(int wire, int *longest)
{
	static unsigned char frame[70000];
	struct sockaddr_ll from;
	socklen_t len = sizeof from;
	int n, count = 0;
	while ((n = recvfrom(wire, frame, sizeof frame, MSG_DONTWAIT, (void *)&from, &len)) > 0) {
		int at = frame[0] >> 4 == 4 ? 20 : 40, proto = frame[0] >> 4 == 4 ? frame[9] : frame[6];
		len = sizeof from;
		if (from.sll_pkttype != PACKET_HOST || proto != 6 || n < at + 20 || frame[at] << 8 != (PORT & 0xff00) ||
		    frame[at + 1] != (PORT & 0xff) || n <= at + (frame[at + 12] >> 4) * 4)
			continue;
		count++;
		if (n > *longest)
			*longest = n;
	}
	return count;
}

static int fetch(const char *iface, const struct sockaddr *to, socklen_t len)
{
	static char got[SIZE];
	struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(3), .sll_ifindex = if_nametoindex(iface)};
	int wire = socket(AF_PACKET, SOCK_DGRAM, htons(3)), s = socket(to->sa_family, SOCK_STREAM, 0), longest = 0, last = 0;
	setsockopt(wire, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
	if (wire < 0 || bind(wire, (void *)&here, sizeof here))
		return perror(iface), 1;
	if (connect(s, to, len))
		return perror("connect"), 1;
	for (int round = 0; round < ROUNDS; round++) {
		unsigned char byte = round;
		if (write(s, &byte, 1) != 1)
			return perror("write"), 1;
		for (int done = 0, some; done < SIZE; done += some)
			if ((some = read(s, got + done, SIZE - done)) <= 0)
				return printf("only %d bytes of answer %d\n", done, round), 1;
		for (int i = 0; i < SIZE; i++)
			if ((unsigned char)got[i] != pattern(round, i))
				return printf("byte %d of answer %d is wrong\n", i, round), 1;
		last = packets(wire, &longest);
	}
	printf("IPv%d: %d packets, the longest of %d bytes\n", to->sa_family == AF_INET ? 4 : 6, last, longest);
	close(s);
	close(wire);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return serve();
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	if (inet_pton(AF_INET, argv[3], &four.sin_addr) != 1 || inet_pton(AF_INET6, argv[4], &six.sin6_addr) != 1)
		return 2;
	return fetch(argv[2], (void *)&four, sizeof four) || fetch(argv[2], (void *)&six, sizeof six);
}
