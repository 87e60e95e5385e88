/* What peers see when a process ends. `farewell` listens, `farewell ADDRESS` connects there and ends with all sockets
   open. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEARS = 7090, QUEUES = 7091, MUCH = 1000000 };

/* The kinds of connections; each letter is the first byte that is sent. */
static const char kinds[] = "iwurhce";
#define KINDS (int)(sizeof kinds - 1)

static int must(int r, const char *what)
{
	if (r >= 0)
		return r;
	perror(what);
	exit(1);
}

static struct sockaddr_in at(const char *address, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	if (address && inet_pton(AF_INET, address, &a.sin_addr) != 1)
		exit(2);
	return a;
}

static int listener(int port)
{
	int s = must(socket(AF_INET, SOCK_STREAM, 0), "socket"), on = 1;
	struct sockaddr_in a = at(0, port);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	must(bind(s, (void *)&a, sizeof a), "bind");
	must(listen(s, 16), "listen");
	return s;
}

static int hear(void)
{
	struct { char kind; long bytes; int error; } of[256] = {0};
	struct pollfd p[KINDS + 2];
	int l = listener(HEARS), d = must(socket(AF_INET, SOCK_DGRAM, 0), "socket"), n = 0, left = KINDS + 1;
	struct sockaddr_in a = at(0, HEARS), from;
	must(bind(d, (void *)&a, sizeof a), "bind");
	puts("ready");
	fflush(stdout);
	for (; n < KINDS; n++) {
		socklen_t size = sizeof from;
		int s = must(accept(l, (void *)&from, &size), "accept");
		must(recv(s, &of[n].kind, 1, MSG_WAITALL), "recv");
		if (of[n].kind == 'u')
			must(write(s, "never read", 10), "write");
		if (of[n].kind == 'c')
			must(shutdown(s, SHUT_WR), "shutdown");
		p[n] = (struct pollfd){s, POLLIN, 0};
	}
	p[n] = (struct pollfd){must(socket(AF_INET, SOCK_STREAM, 0), "socket"), POLLIN, 0};
	from.sin_port = htons(QUEUES);
	must(connect(p[n].fd, (void *)&from, sizeof from), "connect");
	of[n++].kind = 'q';
	must(write(p[0].fd, "go", 2), "write");
	while (left) {
		if (must(poll(p, n, 20000), "poll") == 0)
			break;
		for (int i = 0; i < n; i++) {
			static char b[65536];
			ssize_t got = p[i].revents ? read(p[i].fd, b, sizeof b) : 1;
			if (!p[i].revents)
				continue;
			if (got > 0)
				of[i].bytes += got;
			else
				of[i].error = got ? errno : -1, p[i].fd = -1, left--;
		}
	}
	for (int i = 0; i < n; i++)
		printf("%c: %ld bytes, then %s\n", of[i].kind, of[i].bytes,
		       of[i].error == 0 ? "silence" : of[i].error < 0 ? "the end" : strerror(of[i].error));
	struct pollfd pd = {d, POLLIN, 0};
	printf("datagram: %s\n", poll(&pd, 1, 1000) == 1 ? "came" : "none");
	return 0;
}

static void leave(const char *address)
{
	static char much[MUCH];
	struct sockaddr_in a = at(address, HEARS);
	struct linger none = {1, 0};
	int first = -1, wordy = -1;
	listener(QUEUES);
	for (int i = 0; i < KINDS; i++) {
		int s = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
		must(connect(s, (void *)&a, sizeof a), "connect");
		must(write(s, &kinds[i], 1), "write");
		if (kinds[i] == 'i')
			first = s;
		if (kinds[i] == 'w')
			wordy = s;
		if (kinds[i] == 'r')
			setsockopt(s, SOL_SOCKET, SO_LINGER, &none, sizeof none);
		if (kinds[i] == 'h')
			must(shutdown(s, SHUT_WR), "shutdown");
		if (kinds[i] == 'e')
			close(s);
	}
	char go[2];
	must(recv(first, go, sizeof go, MSG_WAITALL), "recv");
	must(write(wordy, much, MUCH), "write");
	must(sendto(must(socket(AF_INET, SOCK_DGRAM, 0), "socket"), "bye", 3, 0, (void *)&a, sizeof a), "sendto");
	_exit(7);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return hear();
	leave(argv[1]);
}
