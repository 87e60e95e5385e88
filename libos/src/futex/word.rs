//! Atomic access to a word of the program that survives a bad address.

use libos_base::{Errno, Result, user};

#[cfg(unibody_kernel)]
core::arch::global_asm!(
    r#"
    .section .text.libos_futex_word,"ax",@progbits
    .globl libos_word_load, libos_word_exchange, libos_word_at_load, libos_word_at_exchange, libos_word_fault
    .hidden libos_word_load, libos_word_exchange, libos_word_at_load, libos_word_at_exchange, libos_word_fault
    # (address) -> the word, or all ones in the upper half
libos_word_load:
libos_word_at_load:
    mov eax, [rdi]
    ret
    # (address, old, new) -> what was there, or as above
libos_word_exchange:
    mov eax, esi
libos_word_at_exchange:
    lock cmpxchg [rdi], edx
    mov eax, eax
    ret
libos_word_fault:
    mov rax, -1
    ret
    .text
"#
);

#[cfg(unibody_kernel)]
unsafe extern "C" {
    fn libos_word_load(addr: usize) -> u64;
    fn libos_word_exchange(addr: usize, old: u32, new: u32) -> u64;
    static libos_word_at_load: u8;
    static libos_word_at_exchange: u8;
    static libos_word_fault: u8;
}

/// Where to continue when the instruction at `rip` faulted, if it is one of these.
#[cfg(unibody_kernel)]
pub(crate) fn fixup(rip: usize) -> Option<usize> {
    let mine = [&raw const libos_word_at_load as usize, &raw const libos_word_at_exchange as usize];
    mine.contains(&rip).then_some(&raw const libos_word_fault as usize)
}

/// The word as it is now. Under a spin lock: `None` when the page is not present. Else `None` is EFAULT.
pub fn load(addr: usize) -> Option<u32> {
    user::check(addr, 4).ok()?;
    #[cfg(unibody_kernel)]
    {
        // SAFETY: in the program's range, and a fault is fixed up.
        u32::try_from(unsafe { libos_word_load(addr) }).ok()
    }
    #[cfg(not(unibody_kernel))]
    // SAFETY: host tests pass real, aligned words.
    Some(
        unsafe { core::sync::atomic::AtomicU32::from_ptr(addr as *mut u32) }.load(core::sync::atomic::Ordering::SeqCst),
    )
}

/// Puts `new` there if it is `old`; what was there. Not under a spin lock.
pub fn compare_exchange(addr: usize, old: u32, new: u32) -> Result<u32> {
    user::check(addr, 4)?;
    #[cfg(unibody_kernel)]
    {
        // SAFETY: in the program's range, and a fault is fixed up.
        u32::try_from(unsafe { libos_word_exchange(addr, old, new) }).map_err(|_| Errno::EFAULT)
    }
    #[cfg(not(unibody_kernel))]
    {
        use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
        let _ = Errno::EFAULT;
        // SAFETY: host tests pass real, aligned words.
        let word = unsafe { AtomicU32::from_ptr(addr as *mut u32) };
        Ok(word.compare_exchange(old, new, SeqCst, SeqCst).unwrap_or_else(|v| v))
    }
}
