//! The little that memory management needs from the processor, and its host stand-ins.

/// Most CPUs: the width of the CPU masks.
pub const MAX_CPUS: usize = 64;

/// Runs `f` with the number of this CPU and interrupts off: it has this CPU's own data to itself.
#[inline]
pub fn pinned<R>(f: impl FnOnce(usize) -> R) -> R {
    #[cfg(unibody_kernel)]
    {
        use libos_base::percpu::offset;
        let flags: u64;
        let cpu: u32;
        // SAFETY: reads flags and this CPU's number; interrupts are restored below.
        unsafe {
            core::arch::asm!("pushfq", "pop {f}", "cli", "mov {c:e}, gs:[{o}]",
                f = out(reg) flags, c = out(reg) cpu, o = const offset::CPU);
        }
        let r = f(cpu as usize);
        if flags & 0x200 != 0 {
            // SAFETY: they were on.
            unsafe { core::arch::asm!("sti") };
        }
        r
    }
    #[cfg(not(unibody_kernel))]
    f(0)
}

/// Forgets this CPU's translation of one page.
#[inline]
pub fn invalidate_page(addr: usize) {
    #[cfg(unibody_kernel)]
    // SAFETY: only costs a page walk. The memory clobber keeps page-table writes before it.
    unsafe {
        core::arch::asm!("invlpg [{}]", in(reg) addr, options(nostack));
    }
    #[cfg(not(unibody_kernel))]
    let _ = addr;
}

/// Forgets all of this CPU's translations of the program half (none of them is global).
pub fn invalidate_all() {
    #[cfg(unibody_kernel)]
    // SAFETY: reloads the same page tables.
    unsafe {
        core::arch::asm!("mov {t}, cr3", "mov cr3, {t}", t = out(reg) _, options(nostack));
    }
}
