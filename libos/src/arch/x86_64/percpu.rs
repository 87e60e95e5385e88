//! Each CPU's own block.

use super::gdt::Tss;
use crate::arch::MAX_CPUS;
use core::alloc::Layout;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use libos_base::percpu::{Head, disable_interrupts, restore_interrupts};

/// A landing stack. It holds one saved frame, or the crash report's work.
#[repr(C, align(64))]
pub(super) struct LandingStack([u8; LANDING_SIZE]);
const LANDING_SIZE: usize = 8192;

impl LandingStack {
    pub fn top(&self) -> u64 {
        self.0.as_ptr() as u64 + LANDING_SIZE as u64
    }
}

/// The block that GS points at.
#[repr(C, align(64))]
pub(super) struct PerCpu {
    /// Must be first.
    pub head: Head,
    pub tss: Tss,
    pub gdt: [u64; 5],
    pub stacks: [LandingStack; 3],
    /// Local APIC id.
    pub apic_id: u32,
}

static BLOCKS: [AtomicPtr<PerCpu>; MAX_CPUS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CPUS];
static ONLINE: AtomicUsize = AtomicUsize::new(0);

struct Boot(core::cell::UnsafeCell<PerCpu>);
// SAFETY: handed out once, by `boot_block`.
unsafe impl Sync for Boot {}
// SAFETY: all zeroes is a valid block with nothing filled in: integers, and atomic ones.
static BOOT: Boot = Boot(core::cell::UnsafeCell::new(unsafe { core::mem::zeroed() }));

/// The boot CPU's block, which exists before the heap.
///
/// # Safety
/// Once, by the boot CPU.
pub(super) unsafe fn boot_block() -> &'static mut PerCpu {
    // SAFETY: the caller's: once.
    unsafe { &mut *BOOT.0.get() }
}

/// A block for a secondary CPU; `None` when memory is short.
pub(super) fn new_block(cpu: u32) -> Option<&'static mut PerCpu> {
    // Zeroed in place: by value it would not fit on the boot stack.
    // SAFETY: the layout is not empty; all zeroes is a valid block, as above, and it lives forever.
    let block = unsafe { alloc::alloc::alloc_zeroed(Layout::new::<PerCpu>()).cast::<PerCpu>().as_mut() }?;
    block.head.cpu = cpu;
    Some(block)
}

/// Makes `block` this CPU's: GS, GDT, TSS.
pub(super) fn install(block: &'static mut PerCpu, apic_id: u32) {
    // No switching away until the scheduler runs here.
    block.head.preempt_count.store(1, Ordering::Relaxed);
    block.head.this = block as *const PerCpu as usize;
    block.apic_id = apic_id;
    super::gdt::load(block);
    super::cpu::write_msr(super::cpu::MSR_GS_BASE, block.head.this as u64);
    BLOCKS[block.head.cpu as usize].store(block, Ordering::Release);
    ONLINE.fetch_add(1, Ordering::AcqRel);
}

/// The number of running CPUs.
pub fn count_online() -> usize {
    ONLINE.load(Ordering::Acquire)
}

/// Local APIC id of a running CPU.
pub(super) fn apic_id(cpu: usize) -> Option<u32> {
    let p = BLOCKS[cpu].load(Ordering::Acquire);
    // SAFETY: blocks live forever once stored, and `apic_id` is not written after that.
    (!p.is_null()).then(|| unsafe { (*p).apic_id })
}

/// A word of this CPU's [`Head`], read in one instruction.
macro_rules! word {
    ($field:ident) => {{
        let v: usize;
        // SAFETY: GS points at the head.
        unsafe {
            core::arch::asm!("mov {}, gs:[{}]", out(reg) v, const core::mem::offset_of!(libos_base::percpu::Head, $field),
                options(nostack, readonly));
        }
        v
    }};
}
pub(super) use word;

/// The head of this CPU's block. Stable only while interrupts or preemption are off.
pub fn head() -> &'static Head {
    let this = word!(this) as *const Head;
    // SAFETY: the block's first word is its address. Blocks live forever; the head holds atomics and constants.
    unsafe { &*this }
}

/// Corrects the boot CPU's APIC id, which is known only once its controller is on.
pub(super) fn set_boot_apic_id(id: u32) {
    let p = BLOCKS[0].load(Ordering::Acquire);
    // SAFETY: the boot CPU's block; no other CPU runs yet.
    unsafe { (*p).apic_id = id };
}

/// Address of the running thread's structure; always the caller's.
#[inline(always)]
pub fn current_thread() -> usize {
    word!(current)
}

/// Address of this CPU's part of the scheduler; 0 before it has one. Stable only while interrupts or preemption are off.
#[inline(always)]
pub fn scheduler() -> usize {
    word!(scheduler)
}

/// Sets bits in this CPU's work word.
#[inline(always)]
pub fn set_work(bits: u32) {
    // SAFETY: one instruction on this CPU's own word.
    unsafe {
        core::arch::asm!("or dword ptr gs:[{}], {:e}", const offset_of!(Head, work), in(reg) bits, options(nostack))
    };
}

/// Clears bits in this CPU's work word.
#[inline(always)]
pub fn clear_work(bits: u32) {
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("and dword ptr gs:[{}], {:e}", const offset_of!(Head, work), in(reg) !bits, options(nostack))
    };
}

/// Whether this CPU may switch threads now.
pub fn may_switch() -> bool {
    super::cpu::interrupts_enabled() && head().preempt_count.load(Ordering::Relaxed) == 0
}

/// Runs `f` with this CPU's number and interrupts off, so that it has this CPU's own data to itself.
#[inline]
pub fn pinned<R>(f: impl FnOnce(usize) -> R) -> R {
    let on = disable_interrupts();
    let r = f(super::cpu::id());
    restore_interrupts(on);
    r
}
