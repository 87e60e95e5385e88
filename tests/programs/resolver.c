// Names and addresses without a network: localhost, numbers, services, errors, interfaces.
#include "net.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

static void look(const char *name, const char *service, int family, int flags)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list = 0;
    int e = getaddrinfo(name, service, &hints, &list);
    printf("%s %s:", name ? name : "(none)", service ? service : "(none)");
    if (e) printf(" %s", gai_strerror(e));
    for (struct addrinfo *i = list; i; i = i->ai_next) {
        char host[100], port[20];
        if (getnameinfo(i->ai_addr, i->ai_addrlen, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
            printf(" %s|%s", host, port);
    }
    printf("\n");
    if (list) freeaddrinfo(list);
}

int main(void)
{
    look("localhost", "80", AF_INET, 0);
    look("127.0.0.1", "80", AF_UNSPEC, 0);
    look("::1", "443", AF_UNSPEC, 0);
    look("10.1.2.3", 0, AF_INET, AI_NUMERICHOST);
    look("no.number", 0, AF_UNSPEC, AI_NUMERICHOST);
    look("::1", 0, AF_INET, AI_NUMERICHOST);
    look(0, "8080", AF_INET, AI_PASSIVE);
    look(0, "8080", AF_INET6, AI_PASSIVE);
    look(0, "8080", AF_INET, 0);
    look(0, 0, AF_INET, 0);
    look("127.0.0.1", "no-such-service", AF_INET, 0);
    look("127.0.0.1", "65536", AF_INET, AI_NUMERICSERV);

    struct in_addr four;
    struct in6_addr six;
    char text[100];
    SHOW(inet_pton(AF_INET, "1.2.3.4", &four));
    SHOW(inet_pton(AF_INET, "1.2.3", &four));
    SHOW(inet_pton(AF_INET6, "fe80::1:2", &six));
    printf("%s\n", inet_ntop(AF_INET6, &six, text, sizeof text));
    address a = loopback(AF_INET, 80);
    SHOW(getnameinfo(&a.any, sizeof a.v4, text, sizeof text, 0, 0, NI_NUMERICHOST));
    printf("%s\n", text);

    struct ifaddrs *list;
    SHOW(getifaddrs(&list));
    bool lo4 = false, lo6 = false;
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || !(i->ifa_flags & IFF_LOOPBACK)) continue;
        address *x = (void *)i->ifa_addr;
        if (x->any.sa_family == AF_INET && x->v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK)) {
            lo4 = true;
            printf("%s up %d, mask %s\n", i->ifa_name, (i->ifa_flags & IFF_UP) != 0,
                inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_netmask)->sin_addr, text, sizeof text));
        }
        if (x->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&x->v6.sin6_addr)) lo6 = true;
    }
    IS(lo4);
    IS(lo6);
    freeifaddrs(list);
    SHOW(if_nametoindex("lo"));
    printf("%s\n", if_indextoname(1, text) ? text : errname(errno));
    SHOW((int)if_nametoindex("nothing0"));
    char host[100];
    SHOW(gethostname(host, sizeof host));
    IS(*host != 0);
    return done();
}
