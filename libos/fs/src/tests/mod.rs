//! Host tests of the whole crate, one process at a time.

mod archive;
mod events;
mod io;
mod names;
mod pipes;
mod proc;
mod tty;
mod walk;

use crate::files::Files;
use crate::inode::FileSystem;
use crate::ramfs::RamFs;
use crate::{Path, inode, mount, root};
use libos_base::abi::{AtFlags, DirFd, OpenFlags, RenameFlags, Stat, mode::S_IFDIR};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::{Errno, Result};
use std::sync::Arc;

/// A process with a standard root.
fn files() -> Files {
    crate::procfs::whole::provide();
    Files::with_root(root::build().unwrap())
}

/// A process with an empty root that holds `bytes`.
pub(crate) fn small(bytes: usize) -> (Files, Arc<RamFs>) {
    let fs = RamFs::new("ramfs", bytes).unwrap();
    let dir = fs.make(inode::New { mode: S_IFDIR | 0o755, rdev: 0, target: &[] }).unwrap();
    let m = mount::Mount::new_root(dir, "rootfs").unwrap();
    (Files::with_root(Path { dentry: m.root.clone(), mount: m }), fs)
}

fn free_pages(fs: &RamFs) -> u64 {
    fs.statfs().bfree
}

const RD: OpenFlags = OpenFlags::empty();
const RW: OpenFlags = OpenFlags::RDWR;

/// The flags of an ordinary rename.
const NONE: RenameFlags = RenameFlags::empty();

fn create() -> OpenFlags {
    OpenFlags::RDWR | OpenFlags::CREAT
}
fn open(p: &Files, path: &str, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
    p.open(DirFd::CWD, path.as_bytes(), flags, 0o666)
}
fn how(flags: OpenFlags) -> crate::files::How {
    crate::files::How { flags, mode: 0, rules: libos_base::abi::ResolveFlags::empty() }
}
fn mkdir(p: &Files, path: &str) {
    p.mkdir(DirFd::CWD, path.as_bytes(), 0o777).unwrap();
}
fn put(p: &Files, path: &str, text: &str) {
    p.write_file(path.as_bytes(), text.as_bytes()).unwrap();
}
fn get(p: &Files, path: &str) -> Result<String> {
    p.read_file(path.as_bytes()).map(|b| String::from_utf8(b).unwrap())
}
fn stat(p: &Files, path: &str) -> Result<Stat> {
    p.stat(DirFd::CWD, path.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)
}
fn symlink(p: &Files, target: &str, path: &str) {
    p.symlink(target.as_bytes(), DirFd::CWD, path.as_bytes()).unwrap();
}
fn rename(p: &Files, from: &str, to: &str, flags: RenameFlags) -> Result<()> {
    p.rename(DirFd::CWD, from.as_bytes(), DirFd::CWD, to.as_bytes(), flags)
}
fn unlink(p: &Files, path: &str) -> Result<()> {
    p.unlink(DirFd::CWD, path.as_bytes(), false)
}
fn rmdir(p: &Files, path: &str) -> Result<()> {
    p.unlink(DirFd::CWD, path.as_bytes(), true)
}
fn read(f: &Arc<dyn FileLike>, n: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; n];
    let k = f.read(&mut Sink::kernel(&mut buf))?;
    buf.truncate(k);
    Ok(buf)
}
fn read_at(f: &Arc<dyn FileLike>, pos: u64, n: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; n];
    let k = f.read_at(pos, &mut Sink::kernel(&mut buf))?;
    buf.truncate(k);
    Ok(buf)
}
fn write(f: &Arc<dyn FileLike>, b: &[u8]) -> Result<usize> {
    f.write(&mut Source::kernel(b))
}
fn err<T>(r: Result<T>) -> Errno {
    r.err().expect("an error")
}
/// The next records of a directory.
fn records(dir: &crate::openfile::OpenFile, room: usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    dir.read_dir(room, &mut |r| {
        all.extend_from_slice(r);
        r.len()
    })?;
    Ok(all)
}
/// Names in a directory, as `getdents64` returns them with a buffer of `room` bytes.
fn list(p: &Files, path: &str, room: usize) -> Vec<String> {
    let f = open(p, path, RD).unwrap();
    let dir = f.downcast::<crate::openfile::OpenFile>().unwrap();
    let mut names = Vec::new();
    loop {
        let records = records(dir, room).unwrap();
        if records.is_empty() {
            return names;
        }
        names.extend(names_of(&records));
    }
}
fn names_of(mut records: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !records.is_empty() {
        let len = u16::from_ne_bytes([records[16], records[17]]) as usize;
        let name = records[19..len].split(|&b| b == 0).next().unwrap();
        names.push(String::from_utf8(name.to_vec()).unwrap());
        records = &records[len..];
    }
    names
}
