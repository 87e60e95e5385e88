//! The boot CPU's way from the image's base to the scheduler.

use super::info::BootInfo;
use super::params::Params;
use crate::arch::{apic, clock, cpu, early, percpu, smp, timer};
use crate::{crash, devices, entropy};
use libos_base::layout::virt_of;
use libos_base::sync::Once;

/// Memory below this stays out of the free lists: the null page and the trampoline.
const LOW_MEMORY_FLOOR: u64 = smp::TRAMPOLINE + 0x1000;

static PARAMS: Once<Params> = Once::new();

/// The boot parameters. For initialisers and `/proc`: they are there before both.
pub fn parameters() -> &'static Params {
    PARAMS.get().expect("set before the program")
}

static BOOT: Once<&'static BootInfo> = Once::new();

/// Never returns: becomes the boot CPU's idle loop.
pub fn start(boot: &'static mut BootInfo) -> ! {
    let len = (boot.image_phys.end - boot.image_phys.start) as usize;
    crash::set_image(boot.image_virt as usize, boot.image_virt as usize + len, boot.image_phys.start as usize);
    cpu::setup_control_registers();
    crate::arch::build_idt();
    // SAFETY: this is the boot CPU, once.
    percpu::install(unsafe { percpu::boot_block() }, 0);
    crate::arch::load_idt();

    let root = boot.root;
    let mut regions = [crate::mm::Region { start: 0, len: 0 }; 96];
    let mut n = 0;
    boot.for_each_free(LOW_MEMORY_FLOOR, |r| {
        if n < regions.len() {
            regions[n] = crate::mm::Region { start: r.start, len: r.end - r.start };
            n += 1;
        }
    });
    early::drop_identity(root);
    // SAFETY: free RAM, all of it in the direct map; the live page table.
    unsafe { crate::mm::init(&regions[..n], root) };
    register_image();
    let boot: &'static BootInfo = boot;
    BOOT.set(|| boot);

    entropy::init();
    devices::read(boot.rsdp);
    let (wall_ns, width) = devices::read_wall_clock().unwrap_or_default();
    clock::init(devices::machine().tsc_hz, wall_ns);
    crate::wallclock::init(wall_ns, width);
    crate::arch::interrupts::disable_legacy();
    apic::init();
    percpu::set_boot_apic_id(apic::id());
    timer::calibrate();
    timer::init_cpu();
    if let Err(e) = crate::sched::init() {
        panic!("no memory for the scheduler: {e}");
    }
    devices::init_interrupts();
    cpu::enable_interrupts();
    smp::start_all(&devices::cpu_apic_ids(), root);
    if crate::sched::spawn_kernel("init", init_thread).is_err() {
        panic!("no memory for the first thread");
    }
    crate::sched::idle(0)
}

fn register_image() {
    use crate::mm::vma::Prot;
    use early::*;
    let r = |a: *const u8, b: *const u8| a as usize..b as usize;
    // Everything is readable; what is more than that is said. The kernel's parts are known by their symbols.
    crate::mm::program::add_image_segment(r(&raw const __image_start, &raw const __text_start), Prot::READ);
    crate::mm::program::add_image_segment(r(&raw const __text_start, &raw const __text_end), Prot::READ | Prot::EXEC);
    crate::mm::program::add_image_segment(r(&raw const __relro_start, &raw const __relro_end), Prot::READ);
    crate::mm::program::add_image_segment(r(&raw const __data_start, &raw const __bss_end), Prot::READ | Prot::WRITE);
}

fn command_line(boot: &BootInfo) -> &'static [u8] {
    boot.command_line.map_or(&[], |r| bytes(r.start, r.end))
}

/// Memory that a loader filled. It was reserved, so it lives for ever and nobody writes to it.
fn bytes(start: u64, end: u64) -> &'static [u8] {
    // SAFETY: reserved RAM in the direct map.
    unsafe { core::slice::from_raw_parts(virt_of(start) as *const u8, (end - start) as usize) }
}

/// The image's own root archive.
fn embedded_root() -> &'static [u8] {
    unsafe extern "C" {
        static __rootfs_start: u8;
        static __rootfs_end: u8;
    }
    let (start, end) = (&raw const __rootfs_start, &raw const __rootfs_end);
    // SAFETY: the linker brackets the archive.
    unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// The first thread: devices, then the program.
fn init_thread() {
    let boot = BOOT.get().expect("set before threads");
    let initrd = boot.initrd.map_or(&[][..], |r| bytes(r.start, r.end));
    let mut params = Params::default();
    for archive in [embedded_root(), initrd] {
        for e in unibody_proto::cpio::entries(archive) {
            if let Ok(e) = e
                && e.name == unibody_proto::params::FILE.as_bytes()
            {
                params.add_records(e.data);
            }
        }
    }
    params.add_command_line(command_line(boot));
    if let Some(level) = params.log {
        crate::log::set_level(level);
    }
    if let Some(digit) = params.overcommit
        && crate::mm::commit::set_mode(digit.wrapping_sub(b'0')).is_err()
    {
        libos_base::warn!("sysctl.vm.overcommit_memory is 0, 1 or 2");
    }
    devices::probe(command_line(boot));
    entropy::warn_if_weak();
    crate::rootfs::init(embedded_root(), initrd, &params);
    let started = crate::console::init(&params).and_then(|()| {
        PARAMS.set(|| params);
        crate::component::start_all();
        crate::mounts::start();
        crate::wallclock::settle();
        crate::process::image::start(parameters())
    });
    if let Err(e) = started {
        libos_base::error!("the program cannot start: {e}");
        crate::exit::process(127);
    }
}
