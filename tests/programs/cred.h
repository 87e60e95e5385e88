/* For programs that take on another identity for a while. The saved user stays root, so that they can return. */
#ifndef CRED_H
#define CRED_H

#include "test.h"
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

enum { WWW = 33, OTHER = 1000, TEAM = 50 };

static UNUSED void root(void)
{
    MUST(setresuid(-1, 0, -1));
    MUST(setresgid(-1, 0, -1));
    MUST(setgroups(0, 0));
}

/* Effective and file system IDs; the real ones stay root's. */
static UNUSED void be(uid_t uid, gid_t gid)
{
    root();
    MUST(setresgid(-1, gid, -1));
    MUST(setresuid(-1, uid, -1));
}

/* A line of /proc/self/status. */
static UNUSED const char *status_line(const char *key)
{
    static char line[512];
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return "?";
    size_t n = strlen(key);
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, n) && line[n] == ':') {
            line[strcspn(line, "\n")] = 0;
            fclose(f);
            return line;
        }
    fclose(f);
    return "none";
}
#define STATUS(key) printf("%s|\n", status_line(key))

#endif
