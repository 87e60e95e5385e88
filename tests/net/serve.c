/* A server for `crowd.c`: epoll, one thread. The first byte of a message says what it wants: `k`: an answer; `c`: an
   answer, and then the server closes; `?`: how many descriptors are open, and how many KiB are free. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static int watch(int e, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
}

static int report(char *to, size_t size)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	struct sysinfo s;
	sysinfo(&s);
	return snprintf(to, size, "%d %llu\n", n, (unsigned long long)s.freeram * s.mem_unit / 1024);
}

int main(void)
{
	int on = 1, e = epoll_create1(0), l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7080)};
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(l, (void *)&a, sizeof a) || listen(l, 1024) || watch(e, l))
		return perror("serve"), 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event ready[64];
		int n = epoll_wait(e, ready, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd, new;
			if (fd == l) {
				while ((new = accept4(l, 0, 0, SOCK_NONBLOCK)) >= 0)
					if (watch(e, new))
						close(new);
				if (errno != EAGAIN && errno != ECONNABORTED)
					perror("accept");
				continue;
			}
			char b[64];
			int got = read(fd, b, sizeof b);
			if (got < 0 && errno == EAGAIN)
				continue;
			int end = got <= 0 || b[0] == 'c';
			if (got > 0) {
				int len = b[0] == '?' ? report(b, sizeof b) : got;
				end |= write(fd, b, len) != len;
			}
			if (end)
				close(fd);
		}
	}
}
