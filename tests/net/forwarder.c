/* Bad weather between a guest and this computer: passes Ethernet frames on between a TAP device and QEMU's
   `-netdev dgram`, with a delay each way, and loses, reorders and duplicates some of them. Run as
     forwarder TAP FOLDER SEED LOSS REORDER DUPLICATE DELAY COMMAND...
   It lasts as long as the command, and ends with its status. In FOLDER are the sockets: `guest.sock` is QEMU's,
   `forwarder.sock` ours. LOSS, REORDER and DUPLICATE are out of 1,000, DELAY is in microseconds. As with tc-netem, what
   is reordered has no delay at all, so it overtakes what was sent during one delay. What happens to a frame follows
   from the seed, the direction, and its number among those of that direction. ARP, neighbour discovery and SYNs only
   wait: how long an address or a connection takes is not what this is for. At the end it prints the frames forwarded,
   those lost, and how late, in milliseconds, it has passed a frame on at worst: nobody else is to blame for that. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 2048, BATCH = 64, SECOND = 1000000000, MS = 1000000 };
/* Offsets and values in frames. */
enum { TYPE = 12, PROTOCOL4 = 23, PROTOCOL6 = 20, FLAGS4 = 47, FLAGS6 = 67 };
enum { IPV4 = 0x0800, IPV6 = 0x86dd, TCP = 6, SYN = 2 };
/* Values of linux/if_tun.h, which not every C library's headers can include. */
enum { SET_INTERFACE = 0x400454ca, ETHERNET = 0x1002 };

struct frame {
	uint64_t due, number;
	int len;
	unsigned char bytes[FRAME];
};

/* One direction: frames that wait, in a heap by when they are due. */
struct way {
	int from, to, blocked;
	uint64_t dice, number;
	struct frame **heap;
	size_t count, room;
};

static int loss, reorder, duplicate;
static uint64_t delay, latest, forwarded, lost;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static int earlier(const struct frame *a, const struct frame *b)
{
	return a->due < b->due || (a->due == b->due && a->number < b->number);
}

static void put(struct way *w, struct frame *f)
{
	if (w->count == w->room) {
		w->room = w->room ? 2 * w->room : 1024;
		w->heap = realloc(w->heap, w->room * sizeof *w->heap);
	}
	if (!f || !w->heap)
		fail("memory");
	size_t i = w->count++;
	for (; i && earlier(f, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = f;
}

/* Removes the first one. */
static void pop(struct way *w)
{
	struct frame *last = w->heap[--w->count];
	size_t i = 0, next;
	free(w->heap[0]);
	for (; (next = 2 * i + 1) < w->count; i = next) {
		if (next + 1 < w->count && earlier(w->heap[next + 1], w->heap[next]))
			next++;
		if (!earlier(w->heap[next], last))
			break;
		w->heap[i] = w->heap[next];
	}
	w->heap[i] = last;
}

/* xorshift64*: whether something happens that does so in `of` of 1,000 cases. */
static int happens(struct way *w, int of)
{
	w->dice ^= w->dice >> 12, w->dice ^= w->dice << 25, w->dice ^= w->dice >> 27;
	return (int)((w->dice * 0x2545f4914f6cdd1dull >> 33) % 1000) < of;
}

/* Whether the weather is for this frame. */
static int exposed(const unsigned char *f, int len)
{
	int type = f[TYPE] << 8 | f[TYPE + 1];
	if (type == IPV4 && len > FLAGS4)
		return f[PROTOCOL4] != TCP || !(f[FLAGS4] & SYN);
	return type == IPV6 && len > FLAGS6 && f[PROTOCOL6] == TCP && !(f[FLAGS6] & SYN);
}

static void accept_frame(struct way *w, const unsigned char *bytes, int len)
{
	uint64_t due = now() + delay;
	int copies = 1;
	if (exposed(bytes, len)) {
		/* All are thrown for every frame, so that one kind of weather does not change the other. */
		int gone = happens(w, loss), overtakes = happens(w, reorder), twice = happens(w, duplicate);
		if (gone)
			lost++;
		copies = gone ? 0 : 1 + twice;
		due -= overtakes ? delay : 0;
	}
	while (copies--) {
		struct frame *f = malloc(sizeof *f);
		if (!f)
			fail("memory");
		f->due = due;
		f->number = w->number++;
		f->len = len;
		memcpy(f->bytes, bytes, len);
		put(w, f);
	}
}

/* Takes what has come; not everything at once, so that what is due does not wait for it. */
static void take(struct way *w)
{
	static unsigned char bytes[FRAME];
	for (int i = 0; i < BATCH; i++) {
		int len = read(w->from, bytes, sizeof bytes);
		if (len < 14)
			return;
		accept_frame(w, bytes, len);
	}
}

/* Passes on what is due. */
static void give(struct way *w)
{
	w->blocked = 0;
	for (uint64_t t; w->count && w->heap[0]->due <= (t = now()); pop(w)) {
		if (write(w->to, w->heap[0]->bytes, w->heap[0]->len) < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			w->blocked = 1;
			return;
		}
		if (t - w->heap[0]->due > latest)
			latest = t - w->heap[0]->due;
		forwarded++;
	}
}

static int open_tap(const char *name)
{
	struct ifreq r = {0};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strncpy(r.ifr_name, name, sizeof r.ifr_name - 1);
	r.ifr_flags = ETHERNET;
	if (fd < 0 || ioctl(fd, SET_INTERFACE, &r) < 0)
		fail(name);
	/* What is sent before the kernel has noticed the cable is gone. */
	for (int i = 0; i < 5000; i++, usleep(1000))
		if (!ioctl(s, SIOCGIFFLAGS, &r) && r.ifr_flags & IFF_RUNNING)
			break;
	close(s);
	return fd;
}

static struct sockaddr_un name(const char *folder, const char *end)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", folder, end) >= (int)sizeof a.sun_path)
		errno = ENAMETOOLONG, fail(folder);
	return a;
}

static int open_guest(const char *folder)
{
	struct sockaddr_un ours = name(folder, "forwarder.sock"), theirs = name(folder, "guest.sock");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	unlink(ours.sun_path);
	if (fd < 0 || bind(fd, (void *)&ours, sizeof ours) || connect(fd, (void *)&theirs, sizeof theirs))
		fail(folder);
	return fd;
}

static void forward(struct way *ways, pid_t command)
{
	int status;
	for (;;) {
		uint64_t t = now(), next = t + 100 * MS;
		struct pollfd fds[2];
		for (int i = 0; i < 2; i++) {
			if (ways[i].count && !ways[i].blocked && ways[i].heap[0]->due < next)
				next = ways[i].heap[0]->due;
			fds[i] = (struct pollfd){.fd = ways[i].from, .events = POLLIN};
		}
		for (int i = 0; i < 2; i++)
			fds[1 - i].events |= ways[i].blocked ? POLLOUT : 0;
		uint64_t wait = next > t ? next - t : 0;
		struct timespec left = {wait / SECOND, wait % SECOND};
		ppoll(fds, 2, &left, 0);
		for (int i = 0; i < 2; i++) {
			take(&ways[i]);
			give(&ways[i]);
		}
		if (waitpid(command, &status, WNOHANG) == command)
			break;
	}
	printf("forwarded=%llu lost=%llu late=%llu\n", (unsigned long long)forwarded, (unsigned long long)lost,
		(unsigned long long)latest / MS);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int main(int argc, char **argv)
{
	if (argc < 9)
		return 2;
	uint64_t seed = strtoull(argv[3], 0, 10);
	loss = atoi(argv[4]), reorder = atoi(argv[5]), duplicate = atoi(argv[6]);
	delay = strtoull(argv[7], 0, 10) * 1000;
	int tap = open_tap(argv[1]), guest = open_guest(argv[2]);
	struct way ways[] = {{.from = tap, .to = guest}, {.from = guest, .to = tap}};
	for (int i = 0; i < 2; i++)
		/* Seeds that are close must not begin alike. */
		ways[i].dice = (2 * seed + i + 1) * 0x9e3779b97f4a7c15ull;
	prctl(PR_SET_TIMERSLACK, 1);
	pid_t command = fork();
	if (command < 0)
		fail("fork");
	if (!command) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[8], argv + 8);
		fail(argv[8]);
	}
	forward(ways, command);
}
