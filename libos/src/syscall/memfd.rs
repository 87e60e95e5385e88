//! memfd_create(2), and the seals of its files (fcntl(2), "File sealing").

use super::fd::{SEALS, SealCommand};
use super::memory::{SEALED, Sealed};
use super::support::only;
use crate::mm::program;
use alloc::sync::Arc;
use libos_base::abi::{FcntlCommand, MemfdFlags, Str};
use libos_base::file::FileLike;
use libos_base::{Errno, Result, user};
use libos_fs::files;
use libos_fs::inode::Inode;
use libos_fs::openfile::OpenFile;
use libos_fs::ramfs::RamInode;
use libos_fs::ramfs::data::{Data, seal};

/// Not in the headers of older systems.
const NOEXEC_SEAL: MemfdFlags = MemfdFlags::from_bits_retain(8);
const EXEC: MemfdFlags = MemfdFlags::from_bits_retain(16);

/// `memfd_create`. There is no pool of huge pages (EINVAL).
pub fn memfd_create(name: Str, flags: MemfdFlags) -> Result<usize> {
    only(flags, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | NOEXEC_SEAL | EXEC)?;
    if flags.contains(NOEXEC_SEAL | EXEC) {
        return Err(Errno::EINVAL);
    }
    // 249 bytes and the NUL; "memfd:" is put in front.
    let name = user::read_string(name, 250).map_err(|e| if e == Errno::ENAMETOOLONG { Errno::EINVAL } else { e })?;
    let fd = files().fds.reserve()?;
    let (mode, seals) = match flags {
        f if f.contains(NOEXEC_SEAL) => (0o666, seal::EXEC),
        f if f.contains(MemfdFlags::ALLOW_SEALING) => (0o777, 0),
        _ => (0o777, seal::SEAL),
    };
    let file = files().memfd(&name, mode)?;
    if let Some(data) = sealable(&*file) {
        data.set_seals(seals);
    }
    SEALS.provide(&(command as SealCommand));
    SEALED.provide(&(is_sealed as Sealed));
    Ok(fd.install(file, flags.contains(MemfdFlags::CLOEXEC)).result())
}

fn inode(file: &dyn FileLike) -> Option<&Arc<dyn Inode>> {
    Some(file.downcast::<OpenFile>()?.path.inode())
}

/// The content of a file of a memory file system.
fn sealable(file: &dyn FileLike) -> Option<&Data> {
    inode(file)?.downcast::<RamInode>()?.sealable()
}

/// Whether no new mapping may change it.
fn is_sealed(file: &dyn FileLike) -> bool {
    sealable(file).is_some_and(|d| d.seals() & seal::ANY_WRITE != 0)
}

/// F_GET_SEALS, and F_ADD_SEALS of a file that is open for writing.
fn command(file: &dyn FileLike, command: FcntlCommand, add: u32) -> Result<usize> {
    let known = seal::SEAL | seal::SHRINK | seal::GROW | seal::ANY_WRITE | seal::EXEC;
    if command == FcntlCommand::ADD_SEALS && add & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let data = sealable(file).ok_or(Errno::EINVAL)?;
    if command == FcntlCommand::GET_SEALS {
        return Ok(data.seals() as usize);
    }
    // What stays executable must not change, either (mm/memfd.c).
    let executable = add & seal::EXEC != 0 && file.stat()?.mode & 0o111 != 0;
    let implied = if executable { seal::SHRINK | seal::GROW | seal::ANY_WRITE } else { 0 };
    let same = |other: &dyn FileLike| inode(other).zip(inode(file)).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
    data.add_seals(add | implied, || program::is_mapped_writable(&same)).map(|()| 0)
}
