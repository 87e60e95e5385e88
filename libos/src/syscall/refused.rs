//! Calls that always fail: the same errno in both lives, and one line that says who called.

use core::sync::atomic::{AtomicU64, Ordering};
use libos_base::Errno;

/// One bit a call number: said already.
static SAID: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

fn first_time(number: usize) -> bool {
    let (word, bit) = (number / 64 % 8, 1 << (number % 64));
    SAID[word].fetch_or(bit, Ordering::Relaxed) & bit == 0
}

/// In the VM.
pub fn in_vm(number: usize, name: &str, errno: Errno, why: &str) -> isize {
    if first_time(number) {
        let caller = crate::arch::syscall_caller();
        libos_base::warn!("{name}() called from {} is refused with {errno}: {why}", crate::crash::Address(caller));
    }
    -(errno as isize)
}

/// As a Linux process: no kernel below, so the line goes straight to standard error.
pub fn hosted(number: usize, line: &str, errno: Errno, _caller: usize) -> isize {
    if first_time(number) {
        // SAFETY: write(2, line): Linux reads the bytes and touches nothing else.
        unsafe {
            core::arch::asm!("syscall", inout("rax") 1usize => _, in("rdi") 2, in("rsi") line.as_ptr(), in("rdx") line.len(),
                out("rcx") _, out("r11") _);
        }
    }
    -(errno as isize)
}

/// A number that is in no table. Runs on the program's stack, in either life: says nothing as a Linux process.
pub fn unknown(number: usize) {
    unsafe extern "C" {
        static libos_hosted: u8;
    }
    // SAFETY: written once, before the program starts.
    if unsafe { libos_hosted } == 0 && first_time(number) {
        libos_base::warn!("system call {number} is not in this image (ENOSYS)");
    }
}
