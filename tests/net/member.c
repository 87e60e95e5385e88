/* Joins and leaves groups as datagrams to port 7999 say, for `listener.c`. */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifndef MCAST_JOIN_GROUP
#define MCAST_JOIN_GROUP 42
#endif

int main(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), four = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7999)};
	unsigned index = if_nametoindex("eth0");
	if (!index)
		index = if_nametoindex("tap0");
	struct ip_mreqn g = {{inet_addr("239.1.2.3")}, {0}, (int)index};
	struct ipv6_mreq h = {.ipv6mr_interface = index};
	inet_pton(AF_INET6, "ff15::1:2", &h.ipv6mr_multiaddr);
	struct group_source_req r = {.gsr_interface = index};
	struct sockaddr_in group = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("239.1.2.4")}, source = group;
	memcpy(&r.gsr_group, &group, sizeof group);
	if (bind(s, (void *)&a, sizeof a))
		return perror("bind"), 1;
	puts("waiting");
	fflush(stdout);
	for (char c; recv(s, &c, 1, 0) >= 0;) {
		int e = -2;
		switch (c) {
		case 'j': e = setsockopt(four, IPPROTO_IP, IP_ADD_MEMBERSHIP, &g, sizeof g); break;
		case 'l': e = setsockopt(four, IPPROTO_IP, IP_DROP_MEMBERSHIP, &g, sizeof g); break;
		case 'J': e = setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &h, sizeof h); break;
		case 'L': e = setsockopt(six, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &h, sizeof h); break;
		case '1': case '2':
			source.sin_addr.s_addr = inet_addr(c == '1' ? "10.77.0.8" : "10.77.0.9");
			memcpy(&r.gsr_source, &source, sizeof source);
			e = setsockopt(four, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &r, sizeof r);
			break;
		case '3':
			e = setsockopt(four, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &r, sizeof r);
			break;
		case 'x': return 0;
		}
		if (e == -1)
			perror("setsockopt");
	}
	return 1;
}
