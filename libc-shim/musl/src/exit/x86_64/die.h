#ifndef LIBOS_DIE_H
#define LIBOS_DIE_H

/* What was found. The kernel's trap.rs names them in the same order. */
enum die_reason { DIE_STACK, DIE_FREED_TWICE, DIE_NOT_ALLOCATED };

/*
 * Memory of the program is damaged: says so on standard error, at which address, and ends the program by SIGABRT. A handler
 * for it runs first and may leave by siglongjmp.
 */
__attribute__((__visibility__("hidden"), __cold__)) _Noreturn void __libos_die(enum die_reason, const void *);

#endif
