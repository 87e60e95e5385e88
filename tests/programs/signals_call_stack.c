// A call whose return address cannot be read is done, and its way back is a SIGSEGV of the program, which it can handle.
#include "test.h"
#include <signal.h>

static void handler(int s)
{
    SHOW(s == SIGSEGV);
    exit(done());
}

int main(void)
{
    static char alternate[65536];
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    struct sigaction act = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
    MUST(sigaltstack(&stack, 0));
    MUST(sigaction(SIGSEGV, &act, 0));
    getppid();
    // The same by a jump, which pushes nothing, on a stack that is nowhere.
    __asm__ volatile("mov $0x10000, %rsp\n\tjmp libos_sys_110");
    __builtin_unreachable();
}
