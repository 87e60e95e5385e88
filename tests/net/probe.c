/* What programs do with raw and packet sockets. Run as
     probe ping ADDRESS ADDRESS6 NOBODY     pings a host, and watches the frames
     probe lease                            asks for an address as a DHCP client does (RFC 2131), without having one */
#include <arpa/inet.h>
#include <errno.h>
#include "../programs/filter.h"
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int failures;
static unsigned char buf[70000];

static void is(const char *what, int good)
{
	printf("%s: %s\n", what, good ? "yes" : "no");
	failures += !good;
}

static unsigned sum(const unsigned char *p, int n, unsigned s)
{
	for (int i = 0; i < n; i++)
		s += i & 1 ? p[i] : (unsigned)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static int readable(int s, int ms)
{
	struct pollfd p = {s, POLLIN, 0};
	return poll(&p, 1, ms) == 1;
}

static int echo(unsigned char *m, int type, int seq, int extra)
{
	for (int i = 0; i < 8 + extra; i++)
		m[i] = i < 8 ? 0 : i;
	m[0] = type, m[5] = 77, m[7] = seq;
	unsigned c = ~sum(m, 8 + extra, 0);
	m[2] = c >> 8, m[3] = c;
	return 8 + extra;
}

static int ping4(int s, const char *to, int seq, int extra, int ms)
{
	static unsigned char m[70000];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(to)};
	int n = echo(m, ICMP_ECHO, seq, extra);
	if (sendto(s, m, n, 0, (void *)&a, sizeof a) != n)
		return perror("sendto"), 0;
	while (readable(s, ms)) {
		int got = recv(s, buf, sizeof buf, 0), head = (buf[0] & 15) * 4;
		if (got == head + n && buf[head] == ICMP_ECHOREPLY && buf[head + 7] == seq)
			return !memcmp(buf + head + 8, m + 8, extra) && sum(buf + head, n, 0) == 0xffff;
	}
	return 0;
}

static int ping(char **argv)
{
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), six = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	int watch = socket(AF_PACKET, SOCK_RAW, htons(3)), ip = socket(AF_PACKET, SOCK_DGRAM, htons(0x800));
	is("a ping", ping4(s, argv[2], 1, 56, 5000));
	is("a long one", ping4(s, argv[2], 2, 1472, 5000));
	is("one in fragments", ping4(s, argv[2], 3, 8000, 5000));
	is("nobody answers", !ping4(s, argv[4], 4, 56, 1500));
	is("another after that", ping4(s, argv[2], 5, 56, 5000));
	int asked = 0, told = 0, out = 0, in = 0, cooked = 0;
	while (readable(watch, 0)) {
		struct sockaddr_ll a;
		socklen_t n = sizeof a;
		int got = recvfrom(watch, buf, sizeof buf, 0, (void *)&a, &n), type = buf[12] << 8 | buf[13];
		int outgoing = a.sll_pkttype == PACKET_OUTGOING;
		if (got < 34 || a.sll_hatype != 1)
			continue;
		asked += type == 0x806 && outgoing;
		told += type == 0x806 && !outgoing;
		out += type == 0x800 && buf[23] == 1 && buf[34] == ICMP_ECHO && outgoing;
		in += type == 0x800 && buf[23] == 1 && buf[34] == ICMP_ECHOREPLY && a.sll_pkttype == PACKET_HOST;
	}
	while (readable(ip, 0))
		cooked += recv(ip, buf, sizeof buf, 0) > 20 && buf[0] >> 4 == 4;
	is("frames of both directions", asked >= 2 && told >= 1 && out >= 4 && in >= 4);
	is("packets that came in", cooked >= 4);
	struct sockaddr_in6 b = {.sin6_family = AF_INET6};
	inet_pton(AF_INET6, argv[3], &b.sin6_addr);
	struct icmp6_filter f;
	ICMP6_FILTER_SETBLOCKALL(&f);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
	setsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f);
	int n = echo(buf, ICMP6_ECHO_REQUEST, 9, 100);
	is("IPv6", sendto(six, buf, n, 0, (void *)&b, sizeof b) == n && readable(six, 5000) && recv(six, buf, 999, 0) == n && buf[7] == 9);
	int plain = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(argv[2])};
	n = echo(buf, ICMP_ECHO, 10, 40);
	is("a ping socket", connect(plain, (void *)&a, sizeof a) == 0 && send(plain, buf, n, 0) == n && readable(plain, 5000) &&
		recv(plain, buf, 999, 0) == n && buf[0] == ICMP_ECHOREPLY && buf[7] == 10);
	return failures;
}

/* One DHCP message as an Ethernet payload. */
static int discover(unsigned char *p, const unsigned char *mac)
{
	int len = 20 + 8 + 240 + 4;
	memset(p, 0, len);
	p[0] = 0x45, p[3] = len & 255, p[2] = len >> 8, p[8] = 64, p[9] = 17;
	memset(p + 16, 255, 4);
	unsigned c = ~sum(p, 20, 0);
	p[10] = c >> 8, p[11] = c;
	p[21] = 68, p[23] = 67, p[24] = (len - 20) >> 8, p[25] = (len - 20) & 255;
	unsigned char *d = p + 28;
	d[0] = d[1] = 1, d[2] = 6, d[4] = 0x12, d[5] = 0x34;
	d[10] = 0x80; /* the answer may be broadcast */
	memcpy(d + 28, mac, 6);
	memcpy(d + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8);
	return len;
}

static int lease(void)
{
	int s = socket(AF_PACKET, SOCK_DGRAM, htons(0x800));
	struct ifreq r = {.ifr_name = "eth0"};
	/* UDP to port 68, not in fragments. */
	struct sock_filter f[] = {
		{0x30, 0, 0, 9}, {0x15, 0, 6, 17}, {0x28, 0, 0, 6}, {0x45, 4, 0, 0x1fff},
		{0xb1, 0, 0, 0}, {0x48, 0, 0, 2}, {0x15, 0, 1, 68}, {6, 0, 0, 0xffffffff}, {6, 0, 0, 0},
	};
	struct sock_fprog p = {9, f};
	is("the interface", s >= 0 && ioctl(s, SIOCGIFINDEX, &r) == 0);
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x800), .sll_ifindex = r.ifr_ifindex, .sll_halen = 6};
	is("its address", ioctl(s, SIOCGIFHWADDR, &r) == 0);
	is("a filter", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p) == 0);
	is("bound", bind(s, (void *)&a, sizeof a) == 0);
	memset(a.sll_addr, 255, 6);
	int offered = 0;
	for (int i = 0; i < 5 && !offered; i++) {
		int n = discover(buf, (unsigned char *)r.ifr_hwaddr.sa_data);
		if (sendto(s, buf, n, 0, (void *)&a, sizeof a) != n)
			perror("sendto");
		while (!offered && readable(s, 2000)) {
			n = recv(s, buf, sizeof buf, 0);
			unsigned char *d = buf + (buf[0] & 15) * 4 + 8;
			offered = n > 268 && d[0] == 2 && d[4] == 0x12 && d[16] != 0;
		}
	}
	is("an offer", offered);
	return failures;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	return argc == 5 ? ping(argv) : lease();
}
