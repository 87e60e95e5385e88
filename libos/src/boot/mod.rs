//! The boot CPU's way from the image's base to the scheduler.
//! Floor: start.

use crate::arch::boot_info::BootInfo;
use crate::arch::{self, clock, cpu, image, smp};
use crate::console::{self, control};
use crate::params::{self, Params};
use crate::timer::wallclock;
use crate::{component, devices, entropy, exit, files, mm, process, sched};
use drivers::virtio::{Candidate, Device, id, rng::Rng};
use libos_base::abi::signal::SIGTERM;
use libos_base::layout::virt_of;
use libos_base::sync::Once;
use libos_base::time::NS;

/// Memory below this stays out of the free lists: the null page and the trampoline.
const LOW_MEMORY_FLOOR: u64 = smp::TRAMPOLINE + 0x1000;

static BOOT: Once<&'static BootInfo> = Once::new();

/// Never returns: becomes the boot CPU's idle loop.
pub fn start(boot: &'static mut BootInfo) -> ! {
    let len = (boot.image_phys.end - boot.image_phys.start) as usize;
    image::set(boot.image_virt as usize, boot.image_virt as usize + len, boot.image_phys.start as usize);
    arch::boot::init_cpu();

    let root = boot.root;
    let mut regions = [mm::Region { start: 0, len: 0 }; 96];
    let mut n = 0;
    boot.for_each_free(LOW_MEMORY_FLOOR, |r| {
        if n < regions.len() {
            regions[n] = mm::Region { start: r.start, len: r.end - r.start };
            n += 1;
        }
    });
    arch::boot::drop_identity(root);
    // SAFETY: free RAM, all of it in the direct map; the live page table.
    unsafe { mm::init(&regions[..n], root) };
    register_image();
    let boot: &'static BootInfo = boot;
    BOOT.set(|| boot);

    entropy::init();
    devices::read(boot.rsdp);
    let (wall_ns, width) = devices::read_wall_clock().unwrap_or_default();
    clock::init(devices::machine().counter_hz, wall_ns);
    wallclock::init(wall_ns, width);
    arch::boot::init_interrupts(mm::mmio::map);
    if let Err(e) = sched::init(arch::boot::stack()) {
        panic!("no memory for the scheduler: {e}");
    }
    devices::init_interrupts(|| console::defer_signal(SIGTERM));
    cpu::enable_interrupts();
    let topology = &devices::machine().topology;
    if topology.cpus.len() > 1 {
        mm::map_low_page(smp::TRAMPOLINE);
        smp::start_all(topology, root, sched::prepare_cpu);
        mm::unmap_low_page(smp::TRAMPOLINE);
    }
    if sched::spawn_kernel("init", init_thread).is_err() {
        panic!("no memory for the first thread");
    }
    sched::idle(0)
}

fn register_image() {
    use image::*;
    use mm::vma::Prot;
    let r = |a: *const u8, b: *const u8| a as usize..b as usize;
    // Every segment is readable; further rights are listed. The kernel's own parts are known by their symbols.
    mm::program::add_image_segment(r(&raw const __image_start, &raw const __text_start), Prot::READ);
    mm::program::add_image_segment(r(&raw const __text_start, &raw const __text_end), Prot::READ | Prot::EXEC);
    mm::program::add_image_segment(r(&raw const __relro_start, &raw const __relro_end), Prot::READ);
    mm::program::add_image_segment(r(&raw const __data_start, &raw const __bss_end), Prot::READ | Prot::WRITE);
}

fn command_line(boot: &BootInfo) -> &'static [u8] {
    boot.command_line.map_or(&[], |r| bytes(r.start, r.end))
}

/// Memory that a loader filled. It was reserved, so it lives forever and is never written to.
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
        && mm::commit::set_mode(digit.wrapping_sub(b'0')).is_err()
    {
        libos_base::warn!("sysctl.vm.overcommit_memory is 0, 1 or 2");
    }
    #[cfg(debug_assertions)]
    if let Some(fault) = &params.plant {
        crate::crash::plant::plant(fault);
    }
    devices::probe(command_line(boot)).for_each(hand_out);
    entropy::warn_if_weak();
    files::configure(embedded_root(), initrd, &params);
    params.output_failed.iter().for_each(|&failed| control::carry_out(Some(failed)));
    let started = console::init::<control::Protocol>(&params).and_then(|()| {
        // The limit of descriptors does not concern those that the program starts with.
        process::limit(&params.rlimits);
        let params = params::set(params);
        component::start_all();
        files::start();
        wallclock::settle();
        process::image::start(params)
    });
    if let Err(e) = started {
        libos_base::error!("the program cannot start: {e}");
        exit::machine(127);
    }
}

/// Gives a device to its driver, or keeps it for a component that has yet to start.
fn hand_out(device: Candidate) {
    match device.id {
        id::CONSOLE => device.open().into_iter().for_each(console::add_device),
        id::RNG => device.open().into_iter().for_each(seed_from),
        id::NET | id::BLOCK | id::P9 => devices::keep(device),
        _ => {}
    }
}

fn seed_from(device: Device) {
    let mut seed = [0u8; 32];
    let got = Rng::new(device).map_or(0, |mut rng| rng.fill(&mut seed, NS / 10));
    if got == seed.len() {
        entropy::add_hardware(&seed);
    } else {
        libos_base::warn!("the virtio-rng device gives nothing");
    }
}
