//! Calls by a number that is only known at run time: `syscall(n, ...)`. Referring to this links every call.

use super::table::ALL;

/// The C library's `syscall()` with a number that is not constant.
#[unsafe(no_mangle)]
unsafe extern "C" fn libos_syscall_dispatch(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    match ALL.binary_search_by_key(&number, |row| row.0) {
        // SAFETY: the stub is the call itself; the program answers for its arguments, as with any call.
        Ok(i) => unsafe { ALL[i].1(a, b, c, d, e, f) },
        Err(_) => {
            super::refused::unknown(number);
            -(libos_base::Errno::ENOSYS as isize)
        }
    }
}
