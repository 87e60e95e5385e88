/* Hand-made frames, on a TAP device from either side. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };
struct seen { int flags; uint32_t seq, ack; };

static int fd;
static uint8_t mac[6], mine[6] = {2, 0x77, 0, 0, 0, 9};
static uint32_t target, ME;
static struct sockaddr_ll link_to;
/* Answers since the last forget(): all, and TCP ones with their ports and data. */
static int frames, everything, log_len;
static struct { uint16_t port; struct seen s; char data[16]; } log_[64];

static uint32_t sum(const uint8_t *p, int n, uint32_t s)
{
	for (int i = 0; i < n; i++)
		s += i & 1 ? p[i] : p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void put16(uint8_t *p, unsigned v) { p[0] = v >> 8; p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }
static unsigned get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

static void out(const uint8_t *f, int n)
{
	/* If a queue on the way is full, wait instead of losing frames. */
	while (write(fd, f, n) < 0 && (errno == ENOBUFS || errno == EAGAIN))
		usleep(1000);
}

/* Checksum of TCP, UDP or ICMPv6 `at` bytes into the body; addresses of `alen` bytes each precede the body. */
static void seal(uint8_t *body, int len, int at, int proto, int alen)
{
	put16(body + at, 0);
	put16(body + at, ~sum(body, len, sum(body - 2 * alen, 2 * alen, proto + len)));
}

static void ip4(uint32_t from, uint32_t to, int proto, const uint8_t *body, int len, int broadcast)
{
	uint8_t f[200] = {0};
	memcpy(f, mac, 6);
	if (broadcast)
		memset(f, 255, 6);
	memcpy(f + 6, mine, 6);
	f[12] = 8;
	f[14] = 0x45;
	put16(f + 16, 20 + len);
	f[22] = 64;
	f[23] = proto;
	memcpy(f + 26, &from, 4);
	memcpy(f + 30, &to, 4);
	put16(f + 24, ~sum(f + 14, 20, 0));
	memcpy(f + 34, body, len);
	if (proto == 6)
		seal(f + 34, len, 16, 6, 4);
	if (proto == 17)
		seal(f + 34, len, 6, 17, 4);
	out(f, 34 + len);
}

static inline void tcp(uint32_t from, uint16_t sport, uint16_t dport, int flags, uint32_t seq, uint32_t ack, const char *data)
{
	uint8_t b[100] = {0};
	int n = strlen(data);
	put16(b, sport);
	put16(b + 2, dport);
	put32(b + 4, seq);
	put32(b + 8, ack);
	b[12] = 0x50;
	b[13] = flags;
	put16(b + 14, 20000);
	memcpy(b + 20, data, n);
	ip4(from, target, 6, b, 20 + n, 0);
}

/* A SYN, as a client sends it. */
static inline void syn(uint32_t from, uint16_t sport, uint16_t dport, uint32_t seq)
{
	uint8_t b[24] = {0};
	put16(b, sport);
	put16(b + 2, dport);
	put32(b + 4, seq);
	b[12] = 0x60;
	b[13] = SYN;
	put16(b + 14, 1000);
	put32(b + 20, 0x020405b4);
	ip4(from, target, 6, b, 24, 0);
}

static void datagram(uint32_t from, uint32_t to, uint16_t port, const char *data, int broadcast)
{
	uint8_t b[100] = {0};
	int n = strlen(data);
	put16(b, 999);
	put16(b + 2, port);
	put16(b + 4, 8 + n);
	memcpy(b + 8, data, n);
	ip4(from, to, 17, b, 8 + n, broadcast);
}

static inline void udp(uint32_t from, uint32_t to, uint16_t port, const char *data) { datagram(from, to, port, data, 0); }
static inline void broadcast_udp(void) { datagram(ME, target, 7999, "nobody there", 1); }

static void echo(uint32_t from, uint32_t to, int broadcast, unsigned id)
{
	uint8_t b[12] = {8};
	put16(b + 4, id);
	put16(b + 2, ~sum(b, 12, 0));
	ip4(from, to, 1, b, 12, broadcast);
}

static inline void ping(uint32_t from, uint32_t to, int broadcast) { echo(from, to, broadcast, 1); }

/* `T` at the end of an address: the target's last byte. */
static void address6(const char *text, uint8_t *to)
{
	char s[64];
	int n = snprintf(s, sizeof s - 4, "%s", text);
	if (s[n - 1] == 'T')
		sprintf(s + n - 1, "%d", ((uint8_t *)&target)[3]);
	inet_pton(AF_INET6, s, to);
}

static void icmp6(const uint8_t *from, const uint8_t *to, int hops, const uint8_t *body, int len, const uint8_t *eth)
{
	uint8_t f[150] = {0};
	memcpy(f, eth, 6);
	memcpy(f + 6, mine, 6);
	put16(f + 12, 0x86dd);
	f[14] = 0x60;
	put16(f + 18, len);
	f[20] = 58;
	f[21] = hops;
	memcpy(f + 22, from, 16);
	memcpy(f + 38, to, 16);
	memcpy(f + 54, body, len);
	seal(f + 54, len, 2, 58, 16);
	out(f, 54 + len);
}

static inline void ping6(const char *from, const char *to)
{
	uint8_t a[16], b[16], e[12] = {128}, group[6] = {0x33, 0x33};
	address6(from, a);
	address6(to, b);
	memcpy(group + 2, b + 12, 4);
	icmp6(a, b, 64, e, 12, b[0] == 255 ? group : mac);
}

/* Asks for the target's Ethernet address, as is usual before the first packet. */
static inline void solicit6(void)
{
	uint8_t a[16], b[16], e[32] = {135};
	address6("fd77::9", a);
	address6("fd77::T", b);
	memcpy(e + 8, b, 16);
	e[24] = e[25] = 1;
	memcpy(e + 26, mine, 6);
	icmp6(a, b, 255, e, 32, mac);
}

/* Answers requests for our addresses. */
static int neighbor(const uint8_t *f, int n)
{
	if (n >= 42 && get16(f + 12) == 0x806) {
		if (f[21] == 1 && !memcmp(f + 38, &ME, 4)) {
			uint8_t r[42];
			memcpy(r, f, 42);
			memcpy(r, f + 6, 6);
			memcpy(r + 6, mine, 6);
			r[21] = 2;
			memcpy(r + 32, f + 22, 10);
			memcpy(r + 22, mine, 6);
			memcpy(r + 28, &ME, 4);
			out(r, 42);
		}
		return 1;
	}
	if (n < 78 || get16(f + 12) != 0x86dd || f[20] != 58 || f[54] < 130 || f[54] > 143)
		return n >= 14 && get16(f + 12) == 0x86dd && f[20] == 0;
	uint8_t me[16], a[32] = {136, 0, 0, 0, 0x60};
	address6("fd77::9", me);
	if (f[54] == 135 && !memcmp(f + 62, me, 16)) {
		memcpy(a + 8, me, 16);
		a[24] = 2;
		a[25] = 1;
		memcpy(a + 26, mine, 6);
		icmp6(me, f + 22, 255, a, 32, f + 6);
	}
	return 1;
}

static unsigned echoed;

/* Receives for `ms`; returns at the first frame after which `echoed` is `until`. */
static void pump_until(int ms, unsigned until)
{
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &b);
		int left = ms - (int)((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
		struct pollfd p = {fd, POLLIN, 0};
		if (left <= 0 || poll(&p, 1, left) <= 0)
			return;
		uint8_t f[2048];
		int n = read(fd, f, sizeof f);
		if (n < 34 || memcmp(f + 6, mac, 6) || neighbor(f, n))
			continue;
		if (get16(f + 12) == 0x800 && f[23] == 1 && f[34] == 0 && get16(f + 38) >= 1000) {
			echoed = get16(f + 38);
			if (echoed == until)
				return;
			continue;
		}
		/* Ignore what the target sends to others on its own. */
		int for_me = get16(f + 12) == 0x86dd || !memcmp(f + 30, &ME, 4);
		if (!for_me && !everything)
			continue;
		frames++;
		if (get16(f + 12) == 0x800 && f[23] == 6 && log_len < 64) {
			const uint8_t *t = f + 34;
			int data = get16(f + 16) - 20 - (t[12] >> 4) * 4;
			log_[log_len].port = get16(t + 2);
			log_[log_len].s = (struct seen){t[13] & 0x17, get32(t + 4), get32(t + 8)};
			memset(log_[log_len].data, 0, 16);
			memcpy(log_[log_len].data, t + (t[12] >> 4) * 4, data > 15 ? 15 : data);
			log_len++;
		}
	}
}

static inline void pump(int ms) { pump_until(ms, 0); }

/* Waits until everything sent so far was processed: two consecutive pings are answered. */
static inline void settle(void)
{
	static unsigned id = 1000;
	for (int i = 0; i < 2; i++) {
		id = id < 60000 ? id + 1 : 1001;
		for (int tries = 0; tries < 20 && echoed != id; tries++) {
			echo(ME, target, 0, id);
			pump_until(1000, id);
		}
		if (echoed != id)
			printf("the target answers no ping\n");
	}
}

static inline void forget(void) { frames = log_len = 0; }

static inline int heard_tcp(uint16_t port, struct seen *to, int most)
{
	int n = 0;
	for (int i = 0; i < log_len; i++)
		if (log_[i].port == port && n < most)
			to[n++] = log_[i].s;
	return n;
}

static inline int heard_data(uint16_t port, const char *data)
{
	for (int i = 0; i < log_len; i++)
		if (log_[i].port == port && !strncmp(log_[i].data, data, strlen(data)))
			return 1;
	return 0;
}

static int attach(int tap, const char *name, const char *address, const char *eth)
{
	unsigned m[6];
	if (sscanf(eth, "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6)
		return 0;
	for (int i = 0; i < 6; i++)
		mac[i] = m[i];
	target = inet_addr(address);
	ME = (target & htonl(0xffffff00)) | htonl(9);
	if (tap) {
		struct ifreq r = {0};
		strncpy(r.ifr_name, name, sizeof r.ifr_name - 1);
		r.ifr_flags = 0x1002; /* IFF_TAP | IFF_NO_PI */
		fd = open("/dev/net/tun", O_RDWR);
		if (fd < 0 || ioctl(fd, 0x400454ca /* TUNSETIFF */, &r) < 0)
			return perror("the TAP device"), 0;
		return 1;
	}
	fd = socket(AF_PACKET, SOCK_RAW, htons(3));
	link_to = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_protocol = htons(3), .sll_ifindex = if_nametoindex(name)};
	if (fd < 0 || bind(fd, (void *)&link_to, sizeof link_to) < 0)
		return perror("the wire"), 0;
	return 1;
}
