//! One function for each message used, and the numbers (fids) by which client and server name objects.

use crate::wire::{self, Field, HEADER, Qid, Reader, kind};
use Field::{Text, U16, U32, U64};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{Stat, Timespec};
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::{copy, filled};
use libos_base::p9::{Payload, Transport};
use libos_base::page::Page;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};
use libos_fs::inode::StatFs;

/// The longest message we ask for; servers may choose less.
const MSIZE: u32 = 512 << 10;
/// Bytes around the file content in its messages.
const AROUND: usize = 24;
/// "No fid".
const NOFID: u32 = u32::MAX;
/// A number is reused only after this many others came back after it, since the reply to its Tclunk is not waited for.
const REST: usize = 64;
/// Enough for every reply that contains no long text.
const SHORT: usize = 256;
/// Enough for the text of a symbolic link.
const LONG: usize = HEADER + 2 + 4096;

/// `valid` of [`Client::setattr`].
pub mod valid {
    pub const MODE: u32 = 1;
    pub const UID: u32 = 2;
    pub const GID: u32 = 4;
    pub const SIZE: u32 = 8;
    pub const ATIME: u32 = 0x10;
    pub const MTIME: u32 = 0x20;
    pub const CTIME: u32 = 0x40;
    pub const ATIME_SET: u32 = 0x80;
    pub const MTIME_SET: u32 = 0x100;
}

/// Attributes; [`valid`] says which are set.
#[derive(Clone, Copy, Default)]
pub struct Attrs {
    pub valid: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub atime: Timespec,
    pub mtime: Timespec,
}

#[derive(Default)]
struct Fids {
    next: u32,
    free: VecDeque<u32>,
    /// No longer needed; the server does not know that yet.
    gone: Vec<u32>,
}

/// A session with a server.
pub struct Client {
    transport: Arc<dyn Transport>,
    /// Most pages in one message.
    pub max_pages: usize,
    fids: SpinLock<Fids>,
}

/// The server's handle of an object; the server is notified when nobody has it any more.
pub struct Fid {
    client: Arc<Client>,
    number: u32,
}

impl Drop for Fid {
    fn drop(&mut self) {
        let mut f = self.client.fids.lock();
        // Without memory the number is lost, and the server keeps its object.
        if f.gone.try_reserve(1).is_ok() {
            f.gone.push(self.number);
        }
    }
}

impl Client {
    /// Begins a session; returns the root of what the server exports. EPROTO: it does not speak 9P2000.L.
    pub fn new(transport: Arc<dyn Transport>) -> Result<(Arc<Client>, Fid, Qid)> {
        let mut reply = [0; SHORT];
        let fields = [U32(MSIZE), Text(b"9P2000.L")];
        let request = wire::encode(kind::VERSION, &fields, 0)?;
        let n = transport.call(&request, Payload::None, &mut reply)?;
        let mut r = wire::decode(kind::VERSION, &reply[..n.min(SHORT)], 0)?;
        let msize = r.u32()?.min(MSIZE) as usize;
        let max_pages = (msize.saturating_sub(AROUND) / PAGE_SIZE).min(transport.max_pages());
        if r.text()? != b"9P2000.L" || max_pages == 0 || msize < LONG {
            return Err(Errno::EPROTO);
        }
        libos_fs::util::room_for(size_of::<Client>() + 16)?;
        let fids = SpinLock::new(class::P9_FIDS, Fids::default());
        let client = Arc::new(Client { transport, max_pages, fids });
        let number = client.number();
        let fields = [U32(number), U32(NOFID), Text(b"root"), Text(b"/"), U32(0)];
        let qid = client.ask(kind::ATTACH, &fields, &mut reply)?.qid()?;
        Ok((client.clone(), Fid { client, number }, qid))
    }

    /// A number that the server is not using.
    fn number(&self) -> u32 {
        let mut f = self.fids.lock();
        let old = if f.free.len() > REST { f.free.pop_front() } else { None };
        old.unwrap_or_else(|| {
            f.next += 1;
            f.next - 1
        })
    }
    /// Returns a number that the server is not using.
    fn put_back(&self, number: u32) {
        let mut f = self.fids.lock();
        if f.free.try_reserve(1).is_ok() {
            f.free.push_back(number);
        }
    }

    /// Tells the server which fids are no longer needed.
    pub fn tidy(&self) {
        while let Some(n) = self.take_gone() {
            if let Ok(request) = wire::encode(kind::CLUNK, &[U32(n)], 0)
                && !self.transport.post(&request)
            {
                let _ = self.transport.call(&request, Payload::None, &mut [0; SHORT]);
            }
            self.put_back(n);
        }
    }

    fn take_gone(&self) -> Option<u32> {
        self.fids.lock().gone.pop()
    }

    fn ask<'r>(&self, kind: u8, fields: &[Field<'_>], reply: &'r mut [u8]) -> Result<Reader<'r>> {
        self.ask_with(kind, fields, Payload::None, reply)
    }

    fn ask_with<'r>(
        &self,
        kind: u8,
        fields: &[Field<'_>],
        payload: Payload<'_>,
        reply: &'r mut [u8],
    ) -> Result<Reader<'r>> {
        self.tidy();
        let (out, into) = match payload {
            Payload::None => (0, 0),
            Payload::Out(_, n) => (n, 0),
            Payload::In(_, n) => (0, n),
        };
        let request = wire::encode(kind, fields, out)?;
        let room = reply.len();
        let n = self.transport.call(&request, payload, reply)?;
        wire::decode(kind, &reply[..n.min(room)], into)
    }

    /// A request whose success is all that matters.
    fn tell(&self, kind: u8, fields: &[Field<'_>]) -> Result<()> {
        self.ask(kind, fields, &mut [0; SHORT]).map(|_| ())
    }

    /// A new fid for `name` in the directory `from` or, without a name, for `from` itself.
    pub fn walk(self: &Arc<Self>, from: &Fid, name: Option<&[u8]>) -> Result<(Fid, Option<Qid>)> {
        let number = self.number();
        let fields = [U32(from.number), U32(number), U16(name.is_some().into()), Text(name.unwrap_or_default())];
        let used = if name.is_some() { 4 } else { 3 };
        let mut reply = [0; SHORT];
        let mut r = self.ask(kind::WALK, &fields[..used], &mut reply).inspect_err(|_| self.put_back(number))?;
        let fid = Fid { client: self.clone(), number };
        let n = r.u16()?;
        match name {
            Some(_) if n == 1 => Ok((fid, Some(r.qid()?))),
            None if n == 0 => Ok((fid, None)),
            _ => Err(if n == 0 { Errno::ENOENT } else { Errno::EIO }),
        }
    }

    /// Opens the object of the fid.
    pub fn lopen(&self, fid: &Fid, flags: u32) -> Result<Qid> {
        self.ask(kind::LOPEN, &[U32(fid.number), U32(flags)], &mut [0; SHORT])?.qid()
    }

    /// Creates a file in the directory of the fid, which then refers to the open file.
    pub fn lcreate(&self, fid: &Fid, name: &[u8], flags: u32, mode: u32, gid: u32) -> Result<Qid> {
        let fields = [U32(fid.number), Text(name), U32(flags), U32(mode), U32(gid)];
        self.ask(kind::LCREATE, &fields, &mut [0; SHORT])?.qid()
    }

    pub fn mkdir(&self, dir: &Fid, name: &[u8], mode: u32, gid: u32) -> Result<()> {
        self.tell(kind::MKDIR, &[U32(dir.number), Text(name), U32(mode), U32(gid)])
    }
    pub fn symlink(&self, dir: &Fid, name: &[u8], target: &[u8], gid: u32) -> Result<()> {
        self.tell(kind::SYMLINK, &[U32(dir.number), Text(name), Text(target), U32(gid)])
    }
    pub fn link(&self, dir: &Fid, name: &[u8], file: &Fid) -> Result<()> {
        self.tell(kind::LINK, &[U32(dir.number), U32(file.number), Text(name)])
    }
    pub fn rename(&self, from: &Fid, old: &[u8], to: &Fid, new: &[u8]) -> Result<()> {
        self.tell(kind::RENAMEAT, &[U32(from.number), Text(old), U32(to.number), Text(new)])
    }
    pub fn unlink(&self, dir: &Fid, name: &[u8], is_dir: bool) -> Result<()> {
        const AT_REMOVEDIR: u32 = 0x200;
        let flags = if is_dir { AT_REMOVEDIR } else { 0 };
        self.tell(kind::UNLINKAT, &[U32(dir.number), Text(name), U32(flags)])
    }
    pub fn fsync(&self, fid: &Fid, data_only: bool) -> Result<()> {
        self.tell(kind::FSYNC, &[U32(fid.number), U32(data_only.into())])
    }

    pub fn readlink(&self, fid: &Fid) -> Result<Vec<u8>> {
        let mut reply = filled(LONG, 0)?;
        copy(self.ask(kind::READLINK, &[U32(fid.number)], &mut reply)?.text()?)
    }

    /// `stat`, without the device.
    pub fn getattr(&self, fid: &Fid) -> Result<(Qid, Stat)> {
        /// All of `stat`.
        const BASIC: u64 = 0x7ff;
        let mut reply = [0; SHORT];
        let mut r = self.ask(kind::GETATTR, &[U32(fid.number), U64(BASIC)], &mut reply)?;
        r.u64()?;
        let qid = r.qid()?;
        let mut s = Stat { ino: qid.path, mode: r.u32()?, uid: r.u32()?, gid: r.u32()?, ..Stat::default() };
        let mut next = || r.u64();
        (s.nlink, s.rdev) = (next()?, next()?);
        // A length beyond the range of `off_t` is a lie.
        s.size = i64::try_from(next()?).map_err(|_| Errno::EIO)?;
        (s.blksize, s.blocks) = (next()? as i64, next()? as i64);
        for t in [&mut s.atime, &mut s.mtime, &mut s.ctime] {
            *t = Timespec { sec: next()? as i64, nsec: (next()? % 1_000_000_000) as i64 };
        }
        Ok((qid, s))
    }

    pub fn setattr(&self, fid: &Fid, a: &Attrs) -> Result<()> {
        let t = |v: i64| U64(v as u64);
        let fields = [
            U32(fid.number),
            U32(a.valid),
            U32(a.mode),
            U32(a.uid),
            U32(a.gid),
            U64(a.size),
            t(a.atime.sec),
            t(a.atime.nsec),
            t(a.mtime.sec),
            t(a.mtime.nsec),
        ];
        self.tell(kind::SETATTR, &fields)
    }

    pub fn statfs(&self, fid: &Fid) -> Result<StatFs> {
        let mut reply = [0; SHORT];
        let mut r = self.ask(kind::STATFS, &[U32(fid.number)], &mut reply)?;
        /// V9FS_MAGIC (linux/magic.h).
        const MAGIC: i64 = 0x0102_1997;
        r.u32()?;
        let bsize = i64::from(r.u32()?);
        let mut next = || r.u64();
        let mut s = StatFs { kind: MAGIC, bsize, frsize: bsize, blocks: next()?, bfree: next()?, ..StatFs::default() };
        (s.bavail, s.files, s.ffree) = (next()?, next()?, next()?);
        let id = next()?;
        s.fsid = [id as i32, (id >> 32) as i32];
        s.namelen = libos_fs::inode::NAME_MAX as i64;
        Ok(s)
    }

    /// Reads content from `pos` into pages; returns how many bytes.
    pub fn read(&self, fid: &Fid, pos: u64, pages: &[Arc<Page>], len: usize) -> Result<usize> {
        self.fill(kind::READ, fid, pos, pages, len)
    }
    /// Reads directory entries after the server's offset `pos`.
    pub fn readdir(&self, fid: &Fid, pos: u64, pages: &[Arc<Page>], len: usize) -> Result<usize> {
        self.fill(kind::READDIR, fid, pos, pages, len)
    }
    fn fill(&self, kind: u8, fid: &Fid, pos: u64, pages: &[Arc<Page>], len: usize) -> Result<usize> {
        let mut reply = [0; HEADER + 4];
        let fields = [U32(fid.number), U64(pos), U32(len as u32)];
        let n = self.ask_with(kind, &fields, Payload::In(pages, len), &mut reply)?.u32()? as usize;
        if n > len { Err(Errno::EIO) } else { Ok(n) }
    }

    /// Writes the first `len` bytes of pages at `pos`; returns how many. If fewer, the next ones failed, and asking
    /// again will tell why.
    pub fn write(&self, fid: &Fid, pos: u64, pages: &[Arc<Page>], len: usize) -> Result<usize> {
        let mut reply = [0; SHORT];
        let fields = [U32(fid.number), U64(pos), U32(len as u32)];
        let n = self.ask_with(kind::WRITE, &fields, Payload::Out(pages, len), &mut reply)?.u32()? as usize;
        if n > len || n == 0 && len > 0 { Err(Errno::EIO) } else { Ok(n) }
    }
}
