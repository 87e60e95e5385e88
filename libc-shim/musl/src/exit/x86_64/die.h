#ifndef LIBOS_DIE_H
#define LIBOS_DIE_H

/* What was found. The kernel's trap.rs lists the reasons in the same order. */
enum die_reason { DIE_STACK, DIE_FREED_TWICE, DIE_NOT_ALLOCATED };

/*
 * The program's memory is damaged: reports that and the address on standard error, and ends the program by SIGABRT. A
 * handler for it runs first and may leave by siglongjmp.
 */
__attribute__((__visibility__("hidden"), __cold__)) _Noreturn void __libos_die(enum die_reason, const void *);

#endif
