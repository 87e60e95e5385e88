/* The target of `peer.c` and `flood.c`: two listening ports that echo, and a datagram socket that is never read. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1000 };

int main(void)
{
	static struct pollfd p[MOST];
	int n = 0, on = 1;
	for (; n < 3; n++) {
		int s = socket(AF_INET, n < 2 ? SOCK_STREAM : SOCK_DGRAM, 0);
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7080 + n)};
		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(s, (void *)&a, sizeof a) || (n < 2 && listen(s, n ? 128 : 511)))
			return perror("target"), 1;
		p[n] = (struct pollfd){s, n < 2 ? POLLIN : 0, 0};
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		poll(p, n, -1);
		for (int i = n - 1; i >= 3; i--) {
			char b[512];
			if (!p[i].revents)
				continue;
			int got = read(p[i].fd, b, sizeof b);
			if (got <= 0 || write(p[i].fd, b, got) != got) {
				close(p[i].fd);
				p[i] = p[--n];
			}
		}
		for (int i = 0; i < 2; i++)
			if (p[i].revents && n < MOST) {
				int s = accept(p[i].fd, 0, 0);
				if (s >= 0)
					p[n++] = (struct pollfd){s, POLLIN, 0};
			}
	}
}
