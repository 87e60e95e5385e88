/* What routers and switches hear of a host's memberships: has the target (`member.c`) join and leave groups, asks as
   routers do, and prints each different report once. Run as peer.c is. */
#include "raw.h"
#include <stdlib.h>

static char lines[64][200];
static int n_lines;

static void line(const char *text)
{
	for (int i = 0; i < n_lines; i++)
		if (!strcmp(lines[i], text))
			return;
	if (n_lines < 64)
		strcpy(lines[n_lines++], text);
}

static const char *kinds[] = {"?", "is include", "is exclude", "to include", "to exclude", "allow", "block"};

/* Notes a report about one of the groups of the test; the target has others of its own. */
static void report(const uint8_t *f, int n)
{
	char text[200], a[50], b[50];
	int six = get16(f + 12) == 0x86dd;
	const uint8_t *m = f + (six ? 62 : 14 + (f[14] & 15) * 4), *end = f + (six ? 54 + get16(f + 18) : 14 + get16(f + 16));
	int family = six ? AF_INET6 : AF_INET, size = six ? 16 : 4;
	const uint8_t *to = six ? f + 38 : f + 30;
	if (end > f + n)
		return;
	/* The Ethernet address is the group's, the packet stays on the link, and routers look into it. */
	uint8_t eth[6] = {0x33, 0x33, to[12 * six], to[13 * six], to[14 * six], to[15 * six]};
	if (!six) {
		uint8_t four[6] = {1, 0, 0x5e, to[1] & 127, to[2], to[3]};
		memcpy(eth, four, 6);
	}
	int good = !memcmp(f, eth, 6) && (six ? f[21] == 1 && f[56] == 5 : f[22] == 1 && f[34] == 0x94 && f[15] == 0xc0);
	if (six)
		good = good && sum(m, end - m, sum(f + 22, 32, 58 + (end - m))) == 0xffff && f[22] == 0xfe;
	else
		good = good && sum(m, end - m, 0) == 0xffff;
	inet_ntop(family, to, a, sizeof a);
	if (m[0] == 0x22 || m[0] == 143) {
		const uint8_t *r = m + 8;
		for (int i = get16(m + 6); i > 0 && r + 4 + size <= end; i--) {
			int sources = get16(r + 2), at;
			inet_ntop(family, r + 4, b, sizeof b);
			at = snprintf(text, sizeof text, "version %d to %s, %s: %s %s", six ? 2 : 3, a, good ? "good" : "bad", kinds[r[0] % 7], b);
			for (int k = 0; k < sources; k++) {
				inet_ntop(family, r + 4 + size * (k + 1), b, sizeof b);
				at += snprintf(text + at, sizeof text - at, " %s", b);
			}
			if (!memcmp(r + 4, "\xef\1\2", 3) || !memcmp(r + 4, "\xff\x15", 2))
				line(text);
			r += 4 + size * (1 + sources) + r[1] * 4;
		}
		return;
	}
	const uint8_t *group = m + (six ? 8 : 4);
	inet_ntop(family, group, b, sizeof b);
	snprintf(text, sizeof text, "message %#x to %s, %s: %s", m[0], a, good ? "good" : "bad", b);
	if (!memcmp(group, "\xef\1\2", 3) || !memcmp(group, "\xff\x15", 2))
		line(text);
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

/* Listens for `ms`, and prints what was heard. */
static void heard(const char *what, int ms)
{
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (n_lines = 0;;) {
		clock_gettime(CLOCK_MONOTONIC, &b);
		int left = ms - (int)((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
		struct pollfd p = {fd, POLLIN, 0};
		uint8_t f[2048];
		if (left <= 0 || poll(&p, 1, left) <= 0)
			break;
		int n = read(fd, f, sizeof f);
		if (n < 42 || memcmp(f + 6, mac, 6))
			continue;
		if (get16(f + 12) == 0x800 && f[23] == 2)
			report(f, n);
		else if (get16(f + 12) == 0x86dd && n > 80 && f[20] == 0 && f[54] == 58 && (f[62] == 131 || f[62] == 132 || f[62] == 143))
			report(f, n);
		else
			neighbor(f, n);
	}
	qsort(lines, n_lines, sizeof *lines, by_text);
	printf("%s:%s\n", what, n_lines ? "" : " nothing");
	for (int i = 0; i < n_lines; i++)
		printf("  %s\n", lines[i]);
}

static void order(const char *c, const char *what)
{
	settle();
	udp(ME, target, 7999, c);
	heard(what, 3000);
}

/* A query of IGMP, as long as its version has it; the longest time for the answer is a second. */
static void ask4(const char *what, int version, const char *group)
{
	uint8_t f[60] = {1, 0, 0x5e, 0, 0, 1}, *m = f + 38;
	int len = version == 3 ? 12 : 8;
	uint32_t g = inet_addr(group), to = inet_addr("224.0.0.1");
	memcpy(f + 6, mine, 6);
	f[12] = 8;
	f[14] = 0x46;
	put16(f + 16, 24 + len);
	f[22] = 1;
	f[23] = 2;
	memcpy(f + 26, &ME, 4);
	memcpy(f + 30, &to, 4);
	f[34] = 0x94, f[35] = 4;
	put16(f + 24, ~sum(f + 14, 24, 0));
	m[0] = 0x11;
	m[1] = 10;
	memcpy(m + 4, &g, 4);
	if (version == 3)
		m[8] = 2, m[9] = 125;
	put16(m + 2, ~sum(m, len, 0));
	out(f, 38 + len);
	heard(what, 2500);
}

static void ask6(const char *what, int version)
{
	uint8_t f[100] = {0x33, 0x33, 0, 0, 0, 1}, *m = f + 62;
	int len = version == 2 ? 28 : 24;
	memcpy(f + 6, mine, 6);
	put16(f + 12, 0x86dd);
	f[14] = 0x60;
	put16(f + 18, 8 + len);
	f[21] = 1;
	address6("fe80::9", f + 22);
	address6("ff02::1", f + 38);
	memcpy(f + 54, "\x3a\0\5\2\0\0\1\0", 8);
	m[0] = 130;
	put16(m + 4, 1000);
	if (version == 2)
		m[24] = 2, m[25] = 125;
	put16(m + 2, ~sum(m, len, sum(f + 22, 32, 58 + len)));
	out(f, 62 + len);
	heard(what, 2500);
}

int main(int argc, char **argv)
{
	if (argc != 5 || !attach(argv[1][0] == 't', argv[2], argv[3], argv[4]))
		return 2;
	setvbuf(stdout, 0, _IOLBF, 0);
	/* Until it has its addresses. */
	settle();
	pump(3000);
	order("j", "joins");
	ask4("is asked", 3, "0.0.0.0");
	ask4("is asked about its group", 3, "239.1.2.3");
	ask4("is asked about another group", 3, "239.1.2.99");
	order("1", "joins for one source");
	order("2", "and another");
	ask4("is asked", 3, "0.0.0.0");
	order("3", "leaves the second source");
	order("l", "leaves");
	order("j", "joins again");
	ask4("is asked in version 2", 2, "0.0.0.0");
	order("l", "leaves");
	order("J", "IPv6 joins");
	ask6("is asked", 2);
	order("L", "leaves");
	order("J", "joins again");
	ask6("is asked in version 1", 1);
	order("L", "leaves");
	udp(ME, target, 7999, "x");
	return 0;
}
