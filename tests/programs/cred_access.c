//@ user root
/* access() checks the real user, with AT_EACCESS the effective one. */
#include "cred.h"

static void ask(const char *name)
{
    printf("%s:", name);
    for (int mode = 0; mode < 8; mode++) {
        int real = faccessat(AT_FDCWD, name, mode, 0) ? errno : 0;
        int effective = faccessat(AT_FDCWD, name, mode, AT_EACCESS) ? errno : 0;
        printf(" %s/%s", real ? errname(real) : "ok", effective ? errname(effective) : "ok");
    }
    puts("");
}
static void all(void)
{
    ask("f600");
    ask("f755");
    ask("f000");
    ask("mine");
    ask("d700");
    ask("d700/in");
    ask("d711");
    ask("none");
}

int main(void)
{
    enter_scratch();
    MUST(chmod(".", 0755));
    close(MUST(open("f600", O_CREAT | O_RDWR, 0600)));
    close(MUST(open("f755", O_CREAT | O_RDWR, 0755)));
    close(MUST(open("f000", O_CREAT | O_RDWR, 0)));
    close(MUST(open("mine", O_CREAT | O_RDWR, 0700)));
    MUST(chown("mine", WWW, WWW));
    MUST(mkdir("d700", 0700));
    close(MUST(open("d700/in", O_CREAT | O_RDWR, 0666)));
    MUST(mkdir("d711", 0711));
    section("root");
    all();
    section("effective www");
    be(WWW, WWW);
    all();
    section("real www");
    root();
    MUST(setresgid(WWW, 0, 0));
    MUST(setresuid(WWW, 0, 0));
    all();
    section("both");
    MUST(setresgid(WWW, WWW, 0));
    MUST(setresuid(WWW, WWW, 0));
    all();
    return done();
}
