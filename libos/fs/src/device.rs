//! Character devices by number: null, zero, full, random, urandom, tty, console (Linux's admin-guide/devices.txt).

use crate::console;
use crate::dentry::Path;
use crate::util::try_arc;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use libos_base::abi::{OpenFlags, Stat, Whence, mode::S_IFCHR};
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::page::Page;
use libos_base::{Errno, Result, random};

pub const fn makedev(major: u64, minor: u64) -> u64 {
    (major & 0xfff) << 8 | (minor & 0xff) | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// Its numbers again.
pub const fn split(dev: u64) -> (u64, u64) {
    (dev >> 8 & 0xfff | dev >> 32 & !0xfff, dev & 0xff | dev >> 12 & !0xff)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Zero,
    Full,
    Random,
    Urandom,
}

/// An open memory device.
pub struct DeviceFile {
    kind: Kind,
    path: Path,
    description: Description,
}

/// Opens the device `rdev`. ENXIO: there is no such device.
pub fn open(rdev: u64, kind: u32, path: &Path, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
    if kind != S_IFCHR {
        return Err(Errno::ENXIO);
    }
    const NULL: u64 = makedev(1, 3);
    const ZERO: u64 = makedev(1, 5);
    const FULL: u64 = makedev(1, 7);
    const RANDOM: u64 = makedev(1, 8);
    const URANDOM: u64 = makedev(1, 9);
    const TTY: u64 = makedev(5, 0);
    let kind = match rdev {
        NULL => Kind::Null,
        ZERO => Kind::Zero,
        FULL => Kind::Full,
        RANDOM => Kind::Random,
        URANDOM => Kind::Urandom,
        console::CONSOLE_RDEV | TTY => return console::open_console(path, flags, rdev == TTY),
        _ => return Err(Errno::ENXIO),
    };
    Ok(try_arc(DeviceFile { kind, path: path.clone(), description: Description::new(flags) })?)
}

/// Whether reading and writing move the position: for these devices they do not.
pub fn moves(f: &dyn FileLike) -> bool {
    f.downcast::<DeviceFile>().is_none()
}

impl FileLike for DeviceFile {
    fn description(&self) -> &Description {
        &self.description
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        match self.kind {
            Kind::Null => Ok(0),
            Kind::Zero | Kind::Full => dst.put_zeros(dst.left()),
            Kind::Random | Kind::Urandom => {
                let mut buf = [0; 256];
                dst.pieces(|dst| {
                    let n = dst.left().min(buf.len());
                    random::fill(&mut buf[..n]);
                    Ok(dst.put(&buf[..n])? == n)
                })
            }
        }
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        if self.kind == Kind::Full {
            return Err(Errno::ENOSPC);
        }
        // Bytes written to random could only be mixed in; they are not needed and must not be trusted.
        Ok(src.left())
    }
    fn read_now(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.read(dst)
    }
    fn write_now(&self, src: &mut Source<'_>) -> Result<usize> {
        self.write(src)
    }
    fn read_at(&self, _pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        self.read(dst)
    }
    fn write_at(&self, _pos: u64, src: &mut Source<'_>) -> Result<usize> {
        self.write(src)
    }
    fn seek(&self, _offset: i64, _whence: Whence) -> Result<u64> {
        Ok(0)
    }
    /// `/dev/random` used to be able to block, and can still be polled.
    fn has_readiness(&self) -> bool {
        self.kind == Kind::Random
    }
    fn gives_splice(&self) -> bool {
        self.kind != Kind::Null
    }
    /// As on Linux (drivers/char/mem.c).
    fn takes_splice(&self) -> bool {
        self.kind != Kind::Full
    }
    fn special_flags(&self) -> OpenFlags {
        match self.kind {
            Kind::Random | Kind::Urandom => OpenFlags::DIRECT | OpenFlags::ASYNC,
            _ => OpenFlags::DIRECT,
        }
    }
    fn stat(&self) -> Result<Stat> {
        self.path.inode().stat()
    }
    fn map_page(&self, _index: u64, _for_write: bool) -> Result<Option<Arc<Page>>> {
        match self.kind {
            Kind::Zero => Page::new().map(Some),
            _ => Err(Errno::ENODEV),
        }
    }
    fn place(&self) -> Option<&dyn Any> {
        Some(&self.path)
    }
    fn describe(&self) -> String {
        crate::openfile::describe(&self.path)
    }
}
