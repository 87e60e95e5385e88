// One process: creating another is refused with -1 and ENOSYS, and there are no children to wait for.
//@ native no
#include "test.h"
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;
static char stack[16384] __attribute__((aligned(16)));
static int child(void *arg) { (void)arg; return 0; }

static void handler(int s) { (void)s; }

int main(void)
{
    char *argv[] = { "/bin/true", 0 };
    int status;
    pid_t pid;
    signal(SIGCHLD, handler);
    SHOW(fork());
    SHOW(vfork());
    SHOW(execve("/bin/true", argv, environ));
    SHOW(execvp("true", argv));
    SHOW(clone(child, stack + sizeof stack, SIGCHLD, 0));
    SHOW(clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD, 0));
    SHOW(clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, 0));
    SHOWE(posix_spawn(&pid, "/bin/true", 0, 0, argv, environ));
    SHOW(system("true"));
    IS(system(NULL) == 0); /* no command processor, consistent with the line before */
    errno = 0;
    FILE *f = popen("true", "r");
    printf("popen: %s %s\n", f ? "works" : "null", errname(errno));
    SHOW(syscall(SYS_fork));
    SHOW(syscall(SYS_vfork));
    SHOW(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    SHOW(syscall(SYS_execve, "/bin/true", argv, environ));
    SHOW(wait(&status));
    SHOW(waitpid(-1, &status, WNOHANG));
    SHOW(waitpid(12345, &status, 0));
    IS(getpid() > 0);
    printf("alive\n");
    return done();
}
