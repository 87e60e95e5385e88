/* A peer that keeps to no rules: it writes its frames itself, and prints what the other side answers. Run as
     peer tap IFACE ADDRESS MAC      against the kernel behind a TAP device: its other end is opened here
     peer wire IFACE ADDRESS MAC     against a guest at the end of a TAP device
   where ADDRESS and MAC are the target's. The target serves `target.c`. Lines are the same wherever Linux's answers are. */
#include "raw.h"

static uint16_t port = 20000;

/* Prints the answer's flags, and whether it carries the other side's position. */
static void answer(const char *what, uint32_t snd, uint32_t rcv)
{
	struct seen s[4];
	int n = heard_tcp(port, s, 4);
	printf("%s:", what);
	for (int i = 0; i < n; i++)
		printf(" %s%s%s%s%s", s[i].flags & SYN ? "SYN " : "", s[i].flags & FIN ? "FIN " : "",
		       s[i].flags & RST ? "RST " : "", s[i].flags & ACK ? "ACK " : "",
		       s[i].flags & RST ? "" : s[i].seq == snd && s[i].ack == rcv ? "in place" : "elsewhere");
	printf(n ? "\n" : " silence\n");
}

static struct seen say(uint16_t to, int flags, uint32_t seq, uint32_t ack, const char *data)
{
	struct seen s = {0};
	tcp(ME, port, to, flags, seq, ack, data);
	settle();
	if (heard_tcp(port, &s, 1) > 1)
		printf("more than one answer\n");
	return s;
}

/* Opens a connection; returns our next sequence number and theirs. */
static void open_connection(uint32_t *seq, uint32_t *ack)
{
	port++;
	*seq = 1000000;
	struct seen s = say(7080, SYN, *seq, 0, "");
	if (s.flags != (SYN | ACK))
		printf("no connection: %#x\n", s.flags);
	*seq += 1;
	*ack = s.seq + 1;
	tcp(ME, port, 7080, ACK, *seq, *ack, "");
	settle();
}

/* Challenge ACKs are limited to one per half second. */
static void probe(const char *what, int flags, uint32_t seq, uint32_t ack, const char *data, uint32_t snd, uint32_t rcv)
{
	usleep(700000);
	settle();
	forget();
	tcp(ME, port, 7080, flags, seq, ack, data);
	settle();
	answer(what, snd, rcv);
}

static void established(void)
{
	uint32_t seq, ack;
	open_connection(&seq, &ack);
	probe("RST one ahead", RST, seq + 1, 0, "", ack, seq);
	probe("RST far ahead, in the window", RST, seq + 3000, 0, "", ack, seq);
	probe("RST before the window", RST, seq - 1, 0, "", ack, seq);
	probe("RST beyond the window", RST, seq + 0x20000000, 0, "", ack, seq);
	probe("RST and ACK one ahead", RST | ACK, seq + 1, ack, "", ack, seq);
	probe("SYN in the window", SYN, seq + 10, 0, "", ack, seq);
	probe("SYN in place", SYN, seq, 0, "", ack, seq);
	probe("SYN elsewhere", SYN, seq + 0x20000000, 0, "", ack, seq);
	probe("SYN and ACK", SYN | ACK, seq - 1, ack, "", ack, seq);
	probe("ACK far too old", ACK, seq, ack - 0x20000000, "", ack, seq);
	probe("no ACK", 0, seq, 0, "data", ack, seq);
	probe("FIN without ACK", FIN, seq, 0, "", ack, seq);
	forget();
	int n = 0;
	struct seen s;
	for (int i = 0; i < 40; i++)
		tcp(ME, port, 7080, RST, seq + 1 + i, 0, "");
	settle();
	for (struct seen all[8]; n < 8 && (n = heard_tcp(port, all, 8)) > 0;)
		break;
	printf("forty at once: %s\n", n <= 1 ? "at most one answer" : "more");
	forget();
	tcp(ME, port, 7080, ACK | PSH, seq, ack, "alive?");
	for (int i = 0; i < 100 && !(heard_data(port, "alive?")); i++)
		pump(50);
	printf("alive: %s\n", heard_data(port, "alive?") ? "yes" : "no");
	seq += 6;
	ack += 6;
	tcp(ME, port, 7080, ACK, seq, ack, "");
	settle();
	forget();
	/* Exact number: the connection is gone, and what comes then belongs to none. */
	s = say(7080, RST, seq, 0, "");
	printf("exact RST: %s\n", s.flags ? "answered" : "silence");
	forget();
	s = say(7080, ACK, seq, ack, "");
	printf("then an ACK: %s\n", s.flags == RST ? "RST" : "no RST");
	forget();
}

/* A client's RST and its next SYN back to back. */
static void again(void)
{
	int good = 0, refused = 0;
	for (int i = 0; i < 100; i++) {
		uint32_t seq, ack;
		open_connection(&seq, &ack);
		forget();
		tcp(ME, port, 7080, RST | ACK, seq, ack, "");
		struct seen s = say(7080, SYN, seq + 100000, 0, "");
		good += s.flags == (SYN | ACK) && s.ack == seq + 100001;
		refused += (s.flags & RST) != 0;
		tcp(ME, port, 7080, RST, seq + 100001, 0, "");
		settle();
		forget();
	}
	/* On a busy machine a frame may be late on either side; the bug refused every other SYN. */
	printf("SYN right after RST: %s, %d refused\n", good >= 90 ? "accepted" : "half of them", refused);
}

static void scans(void)
{
	static const struct { const char *name; int flags; } all[] = {
		{"FIN", FIN}, {"null", 0}, {"Xmas", FIN | PSH | URG}, {"SYN FIN", SYN | FIN}, {"RST", RST},
		{"SYN RST", SYN | RST}, {"ACK", ACK}, {"FIN ACK", FIN | ACK}, {"SYN ACK", SYN | ACK},
		{"everything", 0x3f},
	};
	for (int open = 1; open >= 0; open--)
		for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
			port++;
			struct seen s = say(open ? 7080 : 7999, all[i].flags, 500, 700, "");
			printf("%s to %s port: %s", all[i].name, open ? "an open" : "a closed", s.flags ? "" : "silence\n");
			if (s.flags)
				printf("flags %#x seq %u ack %u\n", s.flags, s.seq, s.flags & ACK ? s.ack : 0);
			forget();
		}
}

static void addresses(void)
{
	static const char *const bad[] = {"127.0.0.1", "127.1.2.3", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1",
					  "255.255.255.255", "target"};
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t a = strcmp(bad[i], "target") ? inet_addr(bad[i]) : target;
		forget();
		everything = 1;
		ping(a, target, 0);
		udp(a, target, 7999, "nobody there");
		tcp(a, 999, 7080, SYN, 1, 0, "");
		tcp(a, 999, 7999, SYN, 1, 0, "");
		settle();
		everything = 0;
		printf("from %s: %s\n", bad[i], frames ? "answered" : "silence");
	}
	static const struct { const char *to; int eth; } many[] = {
		{"255.255.255.255", 1}, {"10.77.0.255", 1}, {"10.77.0.255", 0}, {"224.0.0.1", 0}, {"127.0.0.1", 0},
	};
	for (unsigned i = 0; i < sizeof many / sizeof *many; i++) {
		forget();
		ping(ME, inet_addr(many[i].to), many[i].eth);
		udp(ME, inet_addr(many[i].to), 7999, "nobody there");
		settle();
		printf("ping and datagram to %s%s: %s\n", many[i].to, many[i].eth ? " in a broadcast" : "",
		       frames ? "answered" : "silence");
	}
	forget();
	broadcast_udp();
	settle();
	printf("datagram to a closed port in a broadcast frame: %s\n", frames ? "answered" : "silence");
	forget();
	udp(ME, target, 7999, "nobody there");
	settle();
	printf("datagram to a closed port: %s\n", frames ? "answered" : "silence");
	forget();
}

static void six(void)
{
	static const struct { const char *from, *to; } all[] = {
		{"fd77::9", "fd77::T"}, {"fd77::9", "ff02::1"}, {"ff02::1", "fd77::T"}, {"::1", "fd77::T"},
		{"fd77::9", "::1"}, {"fd77::9", "ff01::1"}, {"fd77::9", "ff00::1"},
	};
	solicit6();
	settle();
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		forget();
		ping6(all[i].from, all[i].to);
		settle();
		printf("ping6 from %s to %s: %s\n", all[i].from, all[i].to, frames ? "answered" : "silence");
	}
	forget();
}

int main(int argc, char **argv)
{
	if (argc != 5 || !attach(argv[1][0] == 't', argv[2], argv[3], argv[4]))
		return 2;
	setvbuf(stdout, 0, _IOLBF, 0);
	/* Wait until it listens. */
	for (int i = 0; i < 100; i++) {
		port++;
		tcp(ME, port, 7080, SYN, 1, 0, "");
		settle();
		struct seen s;
		if (heard_tcp(port, &s, 1) && s.flags == (SYN | ACK)) {
			tcp(ME, port, 7080, RST, 2, 0, "");
			break;
		}
		usleep(100000);
	}
	settle();
	addresses();
	six();
	scans();
	established();
	again();
	return 0;
}
