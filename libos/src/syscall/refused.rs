//! Calls that always fail: the same errno in both lives, and one line that names the caller.

use crate::arch::image::Address;
use crate::arch::syscall;
use core::sync::atomic::{AtomicU64, Ordering};
use libos_base::Errno;

/// One bit per call number: already reported.
static SAID: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

fn first_time(number: usize) -> bool {
    let (word, bit) = (number / 64 % 8, 1 << (number % 64));
    SAID[word].fetch_or(bit, Ordering::Relaxed) & bit == 0
}

/// In the VM.
pub fn in_vm(number: usize, name: &str, errno: Errno, why: &str) -> isize {
    if first_time(number) {
        let caller = syscall::caller();
        libos_base::warn!("{name}() called from {} is refused with {errno}: {why}", Address(caller));
    }
    -(errno as isize)
}

/// As a Linux process: there is no kernel of ours below, so the line goes straight to standard error.
pub fn hosted(number: usize, line: &str, errno: Errno) -> isize {
    if first_time(number) {
        syscall::hosted_complaint(line);
    }
    -(errno as isize)
}

/// A number that is in no table, or whose call is not in this image.
pub fn unknown(number: usize) {
    if first_time(number) {
        libos_base::warn!("system call {number} is not in this image (ENOSYS)");
    }
}
