/* For programs that have the network to themselves (//@ network own): nothing but `lo`. */
#ifndef OWN_NET_H
#define OWN_NET_H

#include "net.h"
#include <net/if.h>
#include <sys/ioctl.h>

static UNUSED unsigned sum16(const unsigned char *p, size_t n, unsigned s)
{
    for (size_t i = 0; i < n; i++) s += i & 1 ? p[i] : (unsigned)p[i] << 8;
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    return s;
}

static UNUSED int set_int(int s, int level, int name, int value) { return setsockopt(s, level, name, &value, sizeof value); }

static UNUSED int get_int(int s, int level, int name)
{
    int v = -77;
    socklen_t n = sizeof v;
    return getsockopt(s, level, name, &v, &n) ? -1 : v;
}

#endif
