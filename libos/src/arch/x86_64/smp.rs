//! Secondary CPUs: INIT, start-up, a trampoline from real mode, then the scheduler.

use super::{apic, clock, cpu, percpu, timer};
use crate::arch::{MAX_CPUS, upcall};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use drivers::topology::Topology;
use libos_base::layout::virt_of;

/// Physical page of the trampoline, which must be mapped one to one at the moment paging is turned on. Boot keeps it
/// out of free memory.
pub const TRAMPOLINE: u64 = 0x1000;

// Copied to TRAMPOLINE. The parameters follow the code: page table root (below 4 GiB), stack, entry, argument.
global_asm!(
    r#"
    .section .rodata.libos_trampoline,"a",@progbits
    .balign 16
    .globl libos_trampoline
libos_trampoline:
    .code16
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl {base} + 70f - libos_trampoline
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    .byte 0x66, 0xea                     # far jump, 32-bit offset
    .long {base} + 20f - libos_trampoline
    .short 0x18
20: .code32
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x620, %eax
    movl %eax, %cr4
    movl {base} + 80f - libos_trampoline, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010013, %eax
    movl %eax, %cr0
    .byte 0xea
    .long {base} + 30f - libos_trampoline
    .short 8
30: .code64
    leaq 80f(%rip), %rcx
    movq 8(%rcx), %rsp
    movq 16(%rcx), %rax
    movq 24(%rcx), %rdi
    xorl %ebp, %ebp
    pushq $0
    jmpq *%rax
    .balign 8
60: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
70: .short 31
    .long {base} + 60b - libos_trampoline
    .balign 8
    .globl libos_trampoline_params
libos_trampoline_params:
80: .quad 0
81: .quad 0
82: .quad 0
83: .quad 0
    .globl libos_trampoline_end
libos_trampoline_end:
    .text
"#,
    base = const TRAMPOLINE,
    options(att_syntax)
);

unsafe extern "C" {
    static libos_trampoline: u8;
    static libos_trampoline_params: u8;
    static libos_trampoline_end: u8;
}

/// Numbers of the CPUs that have reached Rust.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

/// Starts every other CPU, one after another; the page at [`TRAMPOLINE`] is mapped one to one. `prepare` returns the
/// top of the stack for a CPU number. Returns once each CPU is running or was given up on.
pub fn start_all(topology: &Topology, root: u64, prepare: fn(usize) -> Option<usize>) {
    let me = apic::id();
    for id in topology.cpus.iter().map(|c| c.apic_id).filter(|&id| id != me).take(MAX_CPUS - 1) {
        if let Err(why) = start(id, root, prepare) {
            libos_base::warn!("CPU with APIC id {id} stays off: {why}");
        }
    }
}

fn start(apic_id: u32, root: u64, prepare: fn(usize) -> Option<usize>) -> Result<(), &'static str> {
    let number = percpu::count_online() as u32;
    let block = percpu::new_block(number).ok_or("no memory")?;
    block.apic_id = apic_id;
    let stack = prepare(number as usize).ok_or("no memory")?;
    // SAFETY: the page is set aside for this; the CPU that reads it is started below, one at a time.
    unsafe {
        let code = &raw const libos_trampoline;
        let len = (&raw const libos_trampoline_end).offset_from(code) as usize;
        let dst = virt_of(TRAMPOLINE) as *mut u8;
        core::ptr::copy_nonoverlapping(code, dst, len);
        let params = (&raw const libos_trampoline_params).offset_from(code) as usize;
        let p = dst.add(params) as *mut u64;
        p.write_volatile(root);
        p.add(1).write_volatile(stack as u64);
        p.add(2).write_volatile(secondary as *const () as u64);
        p.add(3).write_volatile(block as *mut _ as u64);
    }
    apic::send_init(apic_id);
    wait_ns(200_000, || false);
    let bit = 1u64 << number;
    let arrived = || ARRIVED.load(Ordering::Acquire) & bit != 0;
    for _ in 0..2 {
        apic::send_startup(apic_id, (TRAMPOLINE >> 12) as u8);
        if wait_ns(500_000_000, arrived) {
            break;
        }
    }
    if arrived() { Ok(()) } else { Err("it does not answer") }
}

/// Waits at most `ns` for `done`.
fn wait_ns(ns: u64, done: impl Fn() -> bool) -> bool {
    let end = clock::monotonic_ns() + ns;
    while clock::monotonic_ns() < end {
        if done() {
            return true;
        }
        core::hint::spin_loop();
    }
    done()
}

extern "C" fn secondary(block: &'static mut percpu::PerCpu) -> ! {
    cpu::setup_control_registers();
    super::idt::load();
    let (number, id) = (block.head.cpu as usize, block.apic_id);
    percpu::install(block, id);
    apic::init_cpu();
    timer::init_cpu();
    ARRIVED.fetch_or(1 << number, Ordering::Release);
    upcall::run_cpu(number)
}
