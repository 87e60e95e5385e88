/* The canary, and the end of a program that overwrote it: musl's only crashes. */
#include <stdint.h>
#include "pthread_impl.h"
#include "../../exit/x86_64/die.h"

uintptr_t __stack_chk_guard;

void __init_ssp(void *entropy)
{
	uintptr_t guard = entropy ? *(uintptr_t *)entropy : (uintptr_t)&__stack_chk_guard * 1103515245;

	/* One byte is zero, so that no string function can read or write the canary; it is the second, so that a string's
	 * terminator written one byte too far is noticed. */
	__stack_chk_guard = guard & ~(uintptr_t)0xff00;
	__pthread_self()->canary = __stack_chk_guard;
}

void __stack_chk_fail(void)
{
	__libos_die(DIE_STACK, __builtin_return_address(0));
}

hidden void __stack_chk_fail_local(void);
weak_alias(__stack_chk_fail, __stack_chk_fail_local);
