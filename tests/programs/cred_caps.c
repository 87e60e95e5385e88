//@ shows capget capset prctl
//@ user root
/* Capabilities: how they follow the user, giving them up, prctl. Sets are printed as relations: a Linux process may
 * have started with fewer. */
#include "cred.h"
#include <sys/prctl.h>

/* linux/capability.h */
enum { V1 = 0x19980330, V3 = 0x20080522 };
enum { CAP_CHOWN, CAP_FOWNER = 3, CAP_SETUID = 7, CAP_SETPCAP = 8, CAP_AUDIT_WRITE = 29 };
struct header { uint32_t version; int pid; };
struct data { uint32_t effective, permitted, inheritable; };

struct sets { uint64_t eff, prm, inh; };

static long get(struct sets *s)
{
    struct header h = { V3, 0 };
    struct data d[2] = { { 0 } };
    long r = syscall(SYS_capget, &h, d);
    s->eff = d[0].effective | (uint64_t)d[1].effective << 32;
    s->prm = d[0].permitted | (uint64_t)d[1].permitted << 32;
    s->inh = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
    return r;
}
static long set(struct sets s)
{
    struct header h = { V3, 0 };
    struct data d[2] = { { s.eff, s.prm, s.inh }, { s.eff >> 32, s.prm >> 32, s.inh >> 32 } };
    return syscall(SYS_capset, &h, d);
}
static uint64_t line(const char *key)
{
    return strtoull(strchr(status_line(key), '\t') + 1, 0, 16);
}
#define BIT(c) (1ull << (c))

int main(void)
{
    struct sets all, now;

    section("versions");
    struct header h = { 0, 0 };
    struct data d[2];
    SHOW(syscall(SYS_capget, &h, 0));
    printf("%x\n", h.version);
    h.version = 1;
    SHOW(syscall(SYS_capget, &h, d));
    printf("%x\n", h.version);
    h.pid = -1;
    SHOW(syscall(SYS_capget, &h, d));
    h.pid = 0x3ffffff0;
    SHOW(syscall(SYS_capget, &h, d));
    SHOW(syscall(SYS_capset, &h, d));
    SHOW(syscall(SYS_capget, 0, d));
    h.version = V1;
    h.pid = getpid();
    SHOW(syscall(SYS_capget, &h, d));

    section("as root");
    MUST(get(&all));
    IS(all.eff == all.prm && (all.eff & BIT(CAP_CHOWN)) && (all.eff & BIT(CAP_SETPCAP)));
    IS(line("CapEff") == all.eff && line("CapPrm") == all.prm && line("CapInh") == 0 && line("CapAmb") == 0);
    IS((line("CapBnd") & all.eff) == all.eff);
    SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0));
    SHOW(prctl(PR_CAPBSET_READ, 41, 0, 0, 0));
    SHOW(prctl(PR_CAPBSET_READ, 64, 0, 0, 0));
    SHOW(prctl(PR_CAPBSET_DROP, CAP_AUDIT_WRITE, 0, 0, 0));
    SHOW(prctl(PR_CAPBSET_READ, CAP_AUDIT_WRITE, 0, 0, 0));
    SHOW(prctl(PR_CAPBSET_DROP, 64, 0, 0, 0));
    IS((line("CapBnd") & BIT(CAP_AUDIT_WRITE)) == 0);
    SHOW(set((struct sets){ all.eff, all.prm, BIT(CAP_AUDIT_WRITE) }));
    SHOW(prctl(PR_GET_SECUREBITS));
    SHOW(prctl(PR_GET_KEEPCAPS));
    SHOW(prctl(PR_SET_KEEPCAPS, 2));
    SHOW(prctl(PR_GET_DUMPABLE));
    STATUS("NoNewPrivs");

    section("the effective user");
    MUST(setresuid(-1, WWW, -1));
    MUST(get(&now));
    IS(now.eff == 0 && now.prm == all.prm);
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_CAPBSET_DROP, CAP_AUDIT_WRITE, 0, 0, 0));
    SHOW(prctl(PR_SET_SECUREBITS, 0));
    SHOW(set((struct sets){ BIT(CAP_CHOWN), BIT(CAP_CHOWN) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP), 0 }));
    SHOW(set((struct sets){ BIT(CAP_FOWNER), BIT(CAP_CHOWN), 0 }));
    SHOW(set((struct sets){ 0, all.prm, 0 }));
    MUST(setresuid(-1, 0, -1));
    MUST(get(&now));
    IS(now.eff == (BIT(CAP_CHOWN) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP)));

    section("setfsuid");
    setfsuid(WWW);
    MUST(get(&now));
    IS(now.eff == (BIT(CAP_SETUID) | BIT(CAP_SETPCAP)));
    setfsuid(0);
    MUST(get(&now));
    IS(now.eff == (BIT(CAP_CHOWN) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP)));

    section("inheritable and ambient");
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    SHOW(set((struct sets){ now.eff, now.prm, BIT(CAP_CHOWN) }));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 64, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, 9, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 1, 0));
    IS(line("CapAmb") == BIT(CAP_CHOWN) && line("CapInh") == BIT(CAP_CHOWN));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0));
    IS(line("CapAmb") == 0);
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    SHOW(set((struct sets){ now.eff, now.prm, 0 }));
    IS(line("CapAmb") == 0);

    section("keeping them");
    SHOW(prctl(PR_SET_KEEPCAPS, 1));
    SHOW(prctl(PR_GET_SECUREBITS));
    MUST(setuid(WWW));
    MUST(get(&now));
    IS(now.eff == 0 && now.prm == (BIT(CAP_CHOWN) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP)));
    SHOW(set((struct sets){ BIT(CAP_SETUID) | BIT(CAP_SETPCAP), now.prm, 0 }));
    SHOW(setresuid(OTHER, WWW, OTHER));
    SHOW(prctl(PR_SET_SECUREBITS, 1 << 4 | 1 << 5));
    SHOW(prctl(PR_SET_KEEPCAPS, 0));
    SHOW(prctl(PR_SET_SECUREBITS, 0));
    SHOW(prctl(PR_SET_SECUREBITS, 1 << 4 | 1 << 5 | 1 << 12));
    SHOW(prctl(PR_GET_SECUREBITS));

    section("giving them up");
    SHOW(set((struct sets){ 0, 0, 0 }));
    SHOW(set((struct sets){ 0, BIT(CAP_SETUID), 0 }));
    SHOW(set((struct sets){ 0, 0, BIT(CAP_SETUID) }));
    SHOW(setresuid(0, 0, 0));
    IS(line("CapEff") == 0 && line("CapPrm") == 0);
    SHOW(prctl(PR_SET_DUMPABLE, 1));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    STATUS("NoNewPrivs");
    return done();
}
