/*
 * musl's own atomics (the build keeps the original beside this file), except for the crash. musl uses `hlt`, which in
 * ring 0 only waits for the next interrupt and then continues. A load from a non-canonical address faults in both lives
 * and arrives as SIGSEGV.
 */
#include "atomic_arch.musl.h"

#undef a_crash
#define a_crash __libos_crash
static inline void __libos_crash(void)
{
	for (;;)
		__asm__ __volatile__("movb (%0),%%al" : : "r"(0xdeadc0de00000000UL) : "rax", "memory");
}
