//! Parts of the kernel that an image may do without: disks, host folders, the terminal's line discipline, and netlink sockets.
//!
//! They are linked into programs that open files, read, or make sockets, unless the wrapper was told to leave them out (`UNIBODY_WITHOUT`, see
//! `libc-shim/crt/without.S`): then a stronger `libos_part_NAME` takes the place of the one below, and what only that
//! one reaches is not linked. Each answers whether the part is there.

use crate::boot::parameters;
use crate::{console, disk, hostdir};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::sync::Once;
use libos_base::{Errno, Result};
use libos_net::netlink::NetlinkSocket;
use libos_net::socket::Ops;

crate::init_with!(2 /* open */, start);
crate::init_with!(257 /* openat */, start);
crate::init_with!(437 /* openat2 */, start);
crate::init_with!(0 /* read */, start_terminal);
crate::init_with!(19 /* readv */, start_terminal);

unsafe extern "C" {
    safe fn libos_part_disk() -> bool;
    safe fn libos_part_share() -> bool;
    safe fn libos_part_terminal() -> bool;
    safe fn libos_part_netlink() -> bool;
}

/// Defines `$name` as a weak symbol that goes on to `$f`.
macro_rules! part {
    ($name:literal, $f:path) => {
        core::arch::global_asm!(
            concat!(".section .text.", $name, ",\"ax\",@progbits"),
            concat!(".weak ", $name),
            concat!($name, ": jmp {}"),
            ".text",
            sym $f,
        );
    };
}

part!("libos_part_disk", libos_with_disk);
part!("libos_part_share", libos_with_share);
part!("libos_part_terminal", with_terminal);
part!("libos_part_netlink", with_netlink);

/// Also how the tool sees that an image has the part: the linker dropped the symbol or not.
#[unsafe(no_mangle)]
extern "C" fn libos_with_disk() -> bool {
    disk::start();
    true
}

#[unsafe(no_mangle)]
extern "C" fn libos_with_share() -> bool {
    hostdir::start();
    true
}

extern "C" fn with_terminal() -> bool {
    console::install_line_discipline();
    true
}

/// Makes a netlink socket of this type.
pub type OpenNetlink = fn(u32) -> Result<Box<dyn Ops>>;

static OPEN_NETLINK: Once<OpenNetlink> = Once::new();

extern "C" fn with_netlink() -> bool {
    OPEN_NETLINK.set(|| |kind| NetlinkSocket::open(crate::net::net(), kind, crate::sched::PID));
    true
}

/// Netlink sockets; EAFNOSUPPORT without them.
pub fn netlink() -> Result<OpenNetlink> {
    libos_part_netlink();
    OPEN_NETLINK.get().copied().ok_or(Errno::EAFNOSUPPORT)
}

extern "C" fn start_terminal() {
    libos_part_terminal();
}

/// Starts what is linked; the program does not run without what it was promised.
extern "C" fn start() {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if STARTED.swap(true, Ordering::Relaxed) {
        return;
    }
    let p = parameters();
    let mounts = !p.disks.is_empty() || !p.shares.is_empty();
    if mounts {
        libos_fs::root::mounting(true);
    }
    for (there, wanted, what) in
        [(libos_part_disk(), !p.disks.is_empty(), "disks"), (libos_part_share(), !p.shares.is_empty(), "host folders")]
    {
        if wanted && !there {
            libos_base::error!("this image was built without {what}");
            crate::exit::process(127);
        }
    }
    if mounts {
        libos_fs::root::mounting(false);
    }
}
