//@ shows getuid geteuid setreuid setregid getgroups setgroups setresuid setresgid getresgid setfsuid setfsgid
//@ user root
/* User and group IDs: who may become whom. */
#include "cred.h"

static void uids(void)
{
    uid_t r, e, s;
    MUST(getresuid(&r, &e, &s));
    printf("users %d %d %d, files %d\n", (int)r, (int)e, (int)s, setfsuid(-1));
    STATUS("Uid");
}
static void gids(void)
{
    gid_t r, e, s;
    MUST(getresgid(&r, &e, &s));
    printf("groups %d %d %d, files %d\n", (int)r, (int)e, (int)s, setfsgid(-1));
    STATUS("Gid");
}

int main(void)
{
    gid_t list[4] = { 7, 3, TEAM, 3 };

    section("supplementary groups");
    SHOW(setgroups(4, list));
    STATUS("Groups");
    SHOW(getgroups(0, 0));
    memset(list, 0, sizeof list);
    SHOW(getgroups(3, list));
    SHOW(getgroups(-1, list));
    SHOW(getgroups(4, list));
    printf("%d %d %d %d\n", (int)list[0], (int)list[1], (int)list[2], (int)list[3]);
    SHOW(setgroups(65537, list));
    SHOW(setgroups(0, 0));
    STATUS("Groups");

    section("file system IDs");
    SHOW(setfsuid(WWW));
    uids();
    SHOW(setfsuid(-1));
    SHOW(setfsuid(0));
    SHOW(setfsgid(WWW));
    gids();
    SHOW(setfsgid(0));

    section("as root");
    SHOW(setuid(-1));
    SHOW(setgid(-1));
    SHOW(setresgid(1, 2, 3));
    gids();
    SHOW(setregid(4, -1));
    gids();
    SHOW(setregid(-1, 5));
    gids();
    SHOW(setgid(6));
    gids();
    SHOW(setresgid(-1, 8, 9));

    section("effective user");
    SHOW(setresuid(-1, WWW, -1));
    uids();
    SHOW(setgid(7));
    SHOW(setgid(9));
    gids();
    SHOW(setegid(6));
    SHOW(setregid(-1, 7));
    SHOW(setregid(9, -1));
    SHOW(setresgid(9, 9, 7));
    SHOW(setresgid(9, 6, 9));
    gids();
    SHOW(setgroups(1, list));
    SHOW(setresuid(OTHER, -1, -1));
    SHOW(setreuid(OTHER, -1));
    SHOW(setuid(OTHER));
    SHOW(setfsuid(OTHER));
    SHOW(setfsuid(0));
    uids();
    SHOW(setuid(0));
    uids();

    section("the saved one");
    SHOW(setreuid(-1, WWW));
    uids();
    SHOW(setreuid(WWW, 0));
    uids();
    SHOW(setresuid(WWW, OTHER, 0));
    uids();
    SHOW(setreuid(0, -1));
    SHOW(setreuid(OTHER, WWW));
    uids();
    SHOW(setresuid(-1, 0, -1));
    SHOW(setresuid(OTHER, OTHER, WWW));
    uids();
    SHOW(seteuid(WWW));
    SHOW(setresuid(WWW, WWW, WWW));
    uids();

    section("for good");
    SHOW(setuid(WWW));
    SHOW(setuid(0));
    SHOW(seteuid(0));
    SHOW(setresuid(0, 0, 0));
    SHOW(setreuid(-1, 0));
    SHOW(setfsuid(0));
    uids();
    IS(getuid() == WWW && geteuid() == WWW);
    return done();
}
