//! An open `/proc` file: its content as of when its beginning was read, so that several reads agree and a later read
//! from the beginning gets fresh content, as with Linux's seq_file.

use super::{Node, process};
use crate::dentry::Path;
use crate::kernel_info;
use crate::util::{Text, try_arc};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
use libos_base::abi::{OpenFlags, Stat, Whence};
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::sync::{Mutex, class};
use libos_base::{Errno, Result};
use unibody_proto::number;

struct Snapshot {
    path: Path,
    node: Node,
    /// The thread or processor that it is about.
    tid: Option<u32>,
    /// See [`open`].
    of_process: bool,
    content: Mutex<Vec<u8>>,
    pos: Mutex<u64>,
    description: Description,
}

/// Opens the content of `node`, for a thread if it belongs to one; `of_process`: it is about the process.
pub(super) fn open(
    path: &Path,
    flags: OpenFlags,
    node: Node,
    tid: Option<u32>,
    of_process: bool,
) -> Result<Arc<dyn FileLike>> {
    let description = Description::new(flags);
    let (content, pos) = (Mutex::new(class::SNAPSHOT, Vec::new()), Mutex::new(class::FILE_POSITION, 0));
    Ok(try_arc(Snapshot { path: path.clone(), node, tid, of_process, content, pos, description })?)
}

impl Snapshot {
    fn make(&self) -> Result<Vec<u8>> {
        let thread = || process::thread(self.tid).ok_or(Errno::ESRCH);
        match self.node {
            Node::File(f) | Node::Private(f) => Ok(f()),
            Node::Thread(f) => Ok(f(&thread()?)),
            Node::Setting(get, _) => Ok(Text::new().n(get()).s("\n").0),
            Node::FdInfo(fd, f) => f(fd),
            Node::Cpu(f) => Ok(f(self.tid.unwrap_or_default())),
            Node::Numbers(all) => {
                let each = |t: Text, (i, n): (usize, &&AtomicI32)| {
                    t.s(if i > 0 { "\t" } else { "" }).n(n.load(Relaxed).max(0) as u64)
                };
                Ok(all.iter().enumerate().fold(Text::new(), each).s("\n").0)
            }
            _ => Ok(Text(thread()?.name).s("\n").0),
        }
    }

    /// New content for a read from the beginning. Made without locks, since it asks other files.
    fn fresh(&self, pos: u64) -> Result<Option<Vec<u8>>> {
        if pos == 0 { self.make().map(Some) } else { Ok(None) }
    }
    fn read_from(&self, pos: u64, fresh: Option<Vec<u8>>, dst: &mut Sink<'_>) -> Result<usize> {
        let mut content = self.content.lock();
        if let Some(fresh) = fresh.filter(|_| pos == 0) {
            *content = fresh;
        }
        let start = usize::try_from(pos).unwrap_or(usize::MAX).min(content.len());
        dst.put(&content[start..])
    }

    /// Whether Linux generates it with seq_file: those have no write positions, and are sought from the beginning only.
    /// All are, except `/proc/sys` and a process's memory.
    fn is_sequence(&self) -> bool {
        let name = self.path.dentry.name();
        if self.of_process {
            return !matches!(&*name, b"cmdline" | b"environ" | b"auxv" | b"pagemap");
        }
        let mut at = (name, self.path.dentry.parent());
        while let (_, Some(dir)) = &at
            && dir.parent().is_some()
        {
            at = (dir.name(), dir.parent());
        }
        *at.0 != *b"sys"
    }
}

/// One decimal number, surrounded by white space. Anything after it is accepted and ignored, as on Linux.
fn write_setting(src: &mut Source<'_>, set: fn(u64) -> Result<()>) -> Result<usize> {
    let (mut text, all) = ([0; 24], src.left());
    let n = all.min(text.len());
    src.take_whole(&mut text[..n])?;
    let word = text[..n].split(u8::is_ascii_whitespace).find(|w| !w.is_empty()).ok_or(Errno::EINVAL)?;
    set(number::decimal(word).ok_or(Errno::EINVAL)?)?;
    Ok(all)
}

/// Numbers as they are shown; the last ones may be missing.
fn write_numbers(src: &mut Source<'_>, all: &[&AtomicI32]) -> Result<usize> {
    let (mut text, length) = ([0; 64], src.left());
    let n = src.take(&mut text)?;
    let mut words = text[..n].split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).peekable();
    words.peek().ok_or(Errno::EINVAL)?;
    for (to, word) in all.iter().zip(words) {
        let n = number::decimal(word).and_then(|n| i32::try_from(n).ok()).ok_or(Errno::EINVAL)?;
        to.store(n, Relaxed);
    }
    Ok(length)
}

impl FileLike for Snapshot {
    fn description(&self) -> &Description {
        &self.description
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        if let Node::Bytes(f) = self.node {
            let mut pos = self.pos.lock();
            let n = f(*pos, dst)?;
            *pos += n as u64;
            return Ok(n);
        }
        let begin = *self.pos.lock();
        let fresh = self.fresh(begin)?;
        let mut pos = self.pos.lock();
        let n = self.read_from(*pos, fresh, dst)?;
        *pos += n as u64;
        Ok(n)
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        match self.node {
            Node::Setting(_, set) => return write_setting(src, set),
            Node::Numbers(all) => return write_numbers(src, all),
            Node::Comm => {}
            _ => return Err(Errno::EIO),
        }
        let (mut name, all) = ([0; 15], src.left());
        let n = all.min(name.len());
        src.take_whole(&mut name[..n])?;
        // Names that are too long are cut, as on Linux.
        kernel_info::set_name(self.tid.unwrap_or(kernel_info::PID), &name[..n])?;
        Ok(all)
    }
    fn write_at(&self, pos: u64, src: &mut Source<'_>) -> Result<usize> {
        match self.node {
            Node::Setting(_, set) if pos == 0 => write_setting(src, set),
            Node::Numbers(all) if pos == 0 => write_numbers(src, all),
            // Accepted and ignored (kernel.sysctl_writes_strict).
            Node::Setting(..) | Node::Numbers(_) => Ok(src.left()),
            _ if self.is_sequence() => Err(Errno::ESPIPE),
            _ => Err(Errno::EINVAL),
        }
    }
    fn read_at(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        if let Node::Bytes(f) = self.node {
            return f(pos, dst);
        }
        self.read_from(pos, self.fresh(pos)?, dst)
    }
    fn seek(&self, offset: i64, whence: Whence) -> Result<u64> {
        let mut pos = self.pos.lock();
        let from = match whence {
            Whence::SET => 0,
            Whence::CUR => *pos as i64,
            _ if self.is_sequence() || *self.path.dentry.name() == *b"environ" => return Err(Errno::EINVAL),
            // They claim to be empty.
            Whence::END => 0,
            _ => return Err(Errno::ENXIO),
        };
        *pos = from.checked_add(offset).and_then(|p| u64::try_from(p).ok()).ok_or(Errno::EINVAL)?;
        Ok(*pos)
    }
    /// Linux's system-wide files have a poll operation, though it reports nothing; a process's files have none, except
    /// its mounts.
    fn has_readiness(&self) -> bool {
        !self.of_process || *self.path.dentry.name() == *b"mounts"
    }
    /// The files that have a poll operation also have this one.
    fn gives_splice(&self) -> bool {
        self.has_readiness()
    }
    fn stat(&self) -> Result<Stat> {
        self.path.inode().stat()
    }
    fn place(&self) -> Option<&dyn Any> {
        Some(&self.path)
    }
    fn describe(&self) -> String {
        crate::openfile::describe(&self.path)
    }
}
