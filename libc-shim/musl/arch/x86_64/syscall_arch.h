/*
 * System calls are C calls: __syscall3(SYS_read, ...) becomes libos_sys_0(...).
 *
 * The number is a constant at every call site that includes this header, so the switch below folds to one call and the
 * linker drops the calls that a program never makes. Numbers known only at run time (syscall(2), setxid) have their own
 * files in this overlay. -O0 would keep all cases: musl is always built with
 * optimisation.
 */

#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)

/* __LIBOS_NUMBERS(K): K(n) for every number of the kernel's table (libos/abi), generated when musl is built. */
#include "libos_numbers.h"

/* Declared without a prototype: each call site casts to the arity it uses, which is compatible. */
#define __LIBOS_DECLARE(n) __attribute__((__visibility__("hidden"))) long libos_sys_##n();
__LIBOS_NUMBERS(__LIBOS_DECLARE)
#undef __LIBOS_DECLARE

/* Never defined: a number that is not a constant here is a link error, not a silent miss. A constant that the kernel's
 * table lacks is -ENOSYS, in both lives. */
long __libos_number_is_not_constant();
#define __LIBOS_OTHER(n) (__builtin_constant_p(n) ? -38 : __libos_number_is_not_constant())

#define __LIBOS_INLINE static __inline __attribute__((__always_inline__, __unused__))

#define __LIBOS_CASE(n) case n: return ((long (*)(void))libos_sys_##n)();
__LIBOS_INLINE long __syscall0(long n)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

#define __LIBOS_CASE(n) case n: return ((long (*)(long))libos_sys_##n)(a);
__LIBOS_INLINE long __syscall1(long n, long a)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

#define __LIBOS_CASE(n) case n: return ((long (*)(long, long))libos_sys_##n)(a, b);
__LIBOS_INLINE long __syscall2(long n, long a, long b)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

#define __LIBOS_CASE(n) case n: return ((long (*)(long, long, long))libos_sys_##n)(a, b, c);
__LIBOS_INLINE long __syscall3(long n, long a, long b, long c)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

#define __LIBOS_CASE(n) case n: return ((long (*)(long, long, long, long))libos_sys_##n)(a, b, c, d);
__LIBOS_INLINE long __syscall4(long n, long a, long b, long c, long d)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

#define __LIBOS_CASE(n) case n: return ((long (*)(long, long, long, long, long))libos_sys_##n)(a, b, c, d, e);
__LIBOS_INLINE long __syscall5(long n, long a, long b, long c, long d, long e)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

#define __LIBOS_CASE(n) case n: return ((long (*)(long, long, long, long, long, long))libos_sys_##n)(a, b, c, d, e, f);
__LIBOS_INLINE long __syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

/*
 * Cancellation points. In a program that can cancel threads, the address of the call goes to __libos_cp, which checks for
 * cancellation around it; any other is linked without that function and makes a plain call.
 * close() is separate: it is never retried and never cancelled after the fact (see pthread_cancel.c).
 * internal/syscall.h declares this function again, without `static`: it keeps the internal linkage given here.
 */
typedef long (*__libos_call)(long, long, long, long, long, long);
__attribute__((__weak__, __visibility__("hidden"))) long __libos_cp(__libos_call, long, long, long, long, long, long);
__attribute__((__weak__, __visibility__("hidden"))) long __libos_cp_close(__libos_call, long, long, long, long, long, long);

#define __LIBOS_CASE(n) case n: \
	if (__builtin_expect(__libos_cp != 0, 0)) \
		return (n == 3 ? __libos_cp_close : __libos_cp)((__libos_call)libos_sys_##n, a, b, c, d, e, f); \
	return ((__libos_call)libos_sys_##n)(a, b, c, d, e, f);
__LIBOS_INLINE long __syscall_cp(long n, long a, long b, long c, long d, long e, long f)
{
	switch (n) { __LIBOS_NUMBERS(__LIBOS_CASE) }
	return __LIBOS_OTHER(n);
}
#undef __LIBOS_CASE

/* No VDSO_USEFUL: a clock read is a function call already. */

#define IPC_64 0
