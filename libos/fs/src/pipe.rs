//! Pipes and FIFOs (pipe(7), fifo(7)).

mod slots;

use self::slots::{Slot, Slots};
use crate::dentry::Path;
use crate::inode::SetAttr;
use crate::time::now;
use crate::util::{Text, try_arc};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use libos_base::abi::{OpenFlags, Stat, mode};
use libos_base::file::{Description, FileLike, next_ino};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, Watcher, block_on};
use libos_base::sync::{Mutex, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

/// Writes of up to this many bytes are not interleaved with others.
pub const PIPE_BUF: usize = 4096;
/// A pipe's capacity unless F_SETPIPE_SZ changes it.
pub const DEFAULT_SIZE: usize = 65536;
/// The most that F_SETPIPE_SZ allows (fs.pipe-max-size).
pub const MAX_SIZE: usize = 1 << 20;

struct State {
    slots: Slots,
    /// A splice has taken the first bytes: other readers wait, so that the order is kept.
    claimed: bool,
    /// Somebody found it claimed, and must be notified when that ends.
    awaited: bool,
    readers: usize,
    writers: usize,
    /// How often each side was opened: opening a FIFO waits for the other count to change.
    reader_opens: u64,
    writer_opens: u64,
    /// What `fstat` shows; for a FIFO, that of its name.
    stat: Stat,
}

impl State {
    /// Whether the first bytes are claimed; if so, the caller will be notified when they no longer are.
    fn in_hand(&mut self) -> bool {
        self.awaited |= self.claimed;
        self.claimed
    }
}

/// What the two ends share.
pub struct Pipe {
    state: Mutex<State>,
    /// Notified when it becomes readable, and when the writers hang up.
    readable: Pollee,
    /// Notified when it becomes writable, and when the readers are gone.
    writable: Pollee,
}

/// One end (or, for a FIFO opened O_RDWR, both).
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    description: Description,
    /// The place of a FIFO.
    path: Option<Path>,
}

impl Pipe {
    /// A pipe without ends.
    pub fn new() -> Result<Arc<Pipe>> {
        let mode = mode::S_IFIFO | 0o600;
        let mut stat = Stat { dev: 0xd, ino: next_ino(), nlink: 1, mode, blksize: PIPE_BUF as i64, ..Stat::default() };
        (stat.uid, stat.gid) = libos_base::cred::owner();
        (stat.atime, stat.mtime, stat.ctime) = (now(), now(), now());
        let state = State {
            slots: Slots::new(),
            claimed: false,
            awaited: false,
            readers: 0,
            writers: 0,
            reader_opens: 0,
            writer_opens: 0,
            stat,
        };
        let (readable, writable) = (Pollee::new(), Pollee::new());
        try_arc(Pipe { state: Mutex::new(class::PIPE, state), readable, writable })
    }

    fn attach(self: &Arc<Self>, flags: OpenFlags, path: Option<Path>) -> Result<Arc<PipeEnd>> {
        let end = try_arc(PipeEnd { pipe: self.clone(), description: Description::new(flags), path })?;
        let mut s = self.state.lock();
        if flags.readable() {
            s.readers += 1;
            s.reader_opens += 1;
        }
        if flags.writable() {
            s.writers += 1;
            s.writer_opens += 1;
        }
        Ok(end)
    }
}

/// `pipe2`; returns (read end, write end). `packets`: packet mode.
pub fn pipe(nonblock: bool, packets: bool) -> Result<(Arc<PipeEnd>, Arc<PipeEnd>)> {
    let flags = if nonblock { OpenFlags::NONBLOCK } else { OpenFlags::empty() };
    let write = flags | OpenFlags::WRONLY | if packets { OpenFlags::DIRECT } else { OpenFlags::empty() };
    let p = Pipe::new()?;
    Ok((p.attach(flags, None)?, p.attach(write, None)?))
}

/// Opens a FIFO: a reader waits for a writer and vice versa; with O_NONBLOCK a reader does not wait and a writer fails
/// with ENXIO.
pub fn open_fifo(pipe: Arc<Pipe>, path: &Path, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
    // Packet mode can only be switched on later.
    if flags.contains(OpenFlags::DIRECT) {
        return Err(Errno::EINVAL);
    }
    let nonblock = flags.contains(OpenFlags::NONBLOCK);
    let (r, w) = (flags.readable(), flags.writable());
    if w && !r && nonblock && pipe.state.lock().readers == 0 {
        return Err(Errno::ENXIO);
    }
    let opens = |s: &State| if r { s.writer_opens } else { s.reader_opens };
    let partners = |s: &State| if r { s.writers } else { s.readers };
    // The peer may open, write and close before we run again: it is enough that it is there now.
    let (seen, met) = {
        let s = pipe.state.lock();
        (opens(&s), partners(&s) > 0)
    };
    let end = pipe.attach(flags, Some(path.clone()))?;
    pipe.readable.notify(Events::OUT);
    pipe.writable.notify(Events::OUT);
    if r && w || nonblock || met {
        return Ok(end);
    }
    let side = if r { &pipe.readable } else { &pipe.writable };
    block_on(side, false, FOREVER, Errno::EAGAIN, || {
        let s = pipe.state.lock();
        (partners(&s) > 0 || opens(&s) != seen).then_some(Ok(()))
    })?;
    Ok(end)
}

impl PipeEnd {
    /// Opens the pipe again (`/proc/self/fd/N`).
    pub fn reopen(&self, path: &Path, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
        open_fifo(self.pipe.clone(), self.path.as_ref().unwrap_or(path), flags)
    }
    /// F_GETPIPE_SZ.
    pub fn capacity(&self) -> usize {
        self.pipe.state.lock().slots.max * PIPE_BUF
    }
    /// F_SETPIPE_SZ; returns the actual size. EBUSY: it holds more than that; EPERM: above the maximum.
    pub fn set_capacity(&self, size: usize) -> Result<usize> {
        if size > MAX_SIZE {
            return Err(Errno::EPERM);
        }
        let size = size.max(PIPE_BUF).next_power_of_two();
        let mut s = self.pipe.state.lock();
        if s.slots.used() > size / PIPE_BUF {
            return Err(Errno::EBUSY);
        }
        s.slots.max = size / PIPE_BUF;
        drop(s);
        self.pipe.writable.notify(Events::OUT);
        Ok(size)
    }
}

/// The building blocks of `splice` and `tee`.
impl PipeEnd {
    /// Whether the two are ends of one pipe.
    pub fn is_same(&self, other: &PipeEnd) -> bool {
        Arc::ptr_eq(&self.pipe, &other.pipe)
    }

    /// Waits for bytes and claims the first slot. `None`: there are no bytes and no writers, or no bytes now and `more`
    /// were taken already.
    pub(crate) fn claim(&self, nonblock: bool, more: bool) -> Result<Option<Slot>> {
        block_on(&self.pipe.readable, nonblock, FOREVER, Errno::EAGAIN, || {
            let mut s = self.pipe.state.lock();
            if s.in_hand() {
                return None;
            }
            match s.slots.slots.pop_front_if(|slot| !slot.bytes().is_empty()) {
                Some(slot) => {
                    s.claimed = true;
                    Some(Ok(Some(slot)))
                }
                None => (more || s.writers == 0).then_some(Ok(None)),
            }
        })
    }

    /// Gives the claimed slot back, `used` bytes shorter.
    pub(crate) fn give_back(&self, mut slot: Slot, used: usize) {
        slot.start += used;
        let empty = slot.start >= slot.end;
        let mut s = self.pipe.state.lock();
        s.claimed = false;
        let awaited = core::mem::take(&mut s.awaited);
        if empty {
            s.slots.spare = Some(slot.data);
        } else {
            // There is room: the slot came from here, and all that was written since has bytes.
            s.slots.slots.push_front(slot);
        }
        drop(s);
        if awaited {
            self.pipe.readable.notify(READABLE);
        }
        if empty {
            self.pipe.writable.notify(WRITABLE);
        }
    }

    /// Waits for room; returns how many slots are free.
    pub(crate) fn room(&self, nonblock: bool) -> Result<usize> {
        block_on(&self.pipe.writable, nonblock, FOREVER, Errno::EAGAIN, || {
            let s = self.pipe.state.lock();
            match s.readers {
                0 => Some(Err(Errno::EPIPE)),
                _ => (!s.slots.is_full()).then(|| Ok(s.slots.max - s.slots.used())),
            }
        })
    }

    /// Fills a new slot with what `read` returns; returns how much.
    pub(crate) fn fill_slot(&self, read: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<usize> {
        let mut data = self.pipe.state.lock().slots.memory()?;
        let end = read(&mut data[..])?;
        if end > 0 {
            let mut s = self.pipe.state.lock();
            s.slots.slots.try_reserve(1)?;
            s.slots.push(Slot::new(data, end));
            drop(s);
            self.pipe.readable.notify(READABLE);
        }
        Ok(end)
    }

    /// Copies the bytes of slot `n`, as many as fit (tee). 0: there is no such slot.
    fn copy_slot(&self, n: usize, to: &mut [u8]) -> usize {
        let s = self.pipe.state.lock();
        let Some(slot) = s.slots.slots.get(n) else { return 0 };
        let len = to.len().min(slot.end - slot.start);
        to[..len].copy_from_slice(&slot.data[slot.start..slot.start + len]);
        len
    }

    /// `tee`: copies to another pipe without consuming anything.
    pub fn tee(&self, out: &PipeEnd, len: usize, nonblock: bool) -> Result<usize> {
        block_on(&self.pipe.readable, nonblock, FOREVER, Errno::EAGAIN, || {
            let mut s = self.pipe.state.lock();
            (!s.in_hand() && !s.slots.is_empty() || s.writers == 0).then_some(Ok(()))
        })?;
        let room = out.room(nonblock)?;
        let mut done = 0;
        for n in 0..room {
            let left = (len - done).min(PIPE_BUF);
            match out.fill_slot(|to| Ok(self.copy_slot(n, &mut to[..left])))? {
                0 => break,
                copied => done += copied,
            }
        }
        Ok(done)
    }
}

const READABLE: Events = Events::IN.union(Events::RDNORM);
const WRITABLE: Events = Events::OUT.union(Events::WRNORM);

impl Pipe {
    /// Reads what there is. `None`: nothing yet.
    #[inline(always)]
    fn read(&self, dst: &mut Sink<'_>) -> Option<Result<usize>> {
        let mut s = self.state.lock();
        if s.claimed && s.in_hand() {
            return None;
        }
        if s.slots.is_empty() {
            return (s.writers == 0).then_some(Ok(0));
        }
        let full = s.slots.is_full();
        let r = s.slots.read(dst);
        // All that a writer waits for is that the pipe is no longer full.
        let room = full && !s.slots.is_full();
        drop(s);
        if room {
            self.writable.notify(WRITABLE);
        }
        Some(r)
    }
    /// Writes all of it if it is short and joins the last slot, as nearly every short write does; false: nothing yet.
    #[inline(always)]
    fn write_short(&self, src: &mut Source<'_>) -> bool {
        let mut s = self.state.lock();
        let whole = s.readers > 0 && s.slots.join_whole(src);
        drop(s);
        if whole {
            self.readable.notify(READABLE);
        }
        whole
    }
    /// Writes as much as fits, or one packet; if `join`, only what joins the last slot, unless that is nothing. `None`:
    /// nothing fits.
    fn write(&self, src: &mut Source<'_>, join: bool, packet: bool) -> Option<Result<usize>> {
        let mut s = self.state.lock();
        if s.readers == 0 {
            return Some(Err(Errno::EPIPE));
        }
        // A packet joins what an earlier write of the other kind has begun, as on Linux, but begins a slot of its own.
        let mut r = if join && !(packet && s.slots.is_empty()) { s.slots.join(src) } else { Ok(0) };
        if r == Ok(0) {
            if s.slots.is_full() {
                return None;
            }
            r = if packet { s.slots.fill_packet(src) } else { s.slots.fill(src) };
        }
        drop(s);
        if r.is_ok() {
            self.readable.notify(READABLE);
        }
        Some(r)
    }
}

impl PipeEnd {
    #[inline(always)]
    fn read_as(&self, dst: &mut Sink<'_>, nonblock: bool) -> Result<usize> {
        if dst.left() == 0 {
            return Ok(0);
        }
        self.pipe.read(dst).unwrap_or_else(|| self.read_later(dst, nonblock))
    }
    #[cold]
    fn read_later(&self, dst: &mut Sink<'_>, nonblock: bool) -> Result<usize> {
        if nonblock { Err(Errno::EAGAIN) } else { self.read_when_there(dst, false) }
    }
    fn read_when_there(&self, dst: &mut Sink<'_>, nonblock: bool) -> Result<usize> {
        block_on(&self.pipe.readable, nonblock, FOREVER, Errno::EAGAIN, || self.pipe.read(dst))
    }

    #[inline(never)]
    fn write_long(&self, src: &mut Source<'_>, flags: OpenFlags) -> Result<usize> {
        let (nonblock, packets) = (flags.contains(OpenFlags::NONBLOCK), flags.contains(OpenFlags::DIRECT));
        let (mut total, mut first) = (0, Some(self.pipe.write(src, true, packets)));
        loop {
            let r = match first.take() {
                Some(Some(r)) => r,
                Some(None) if nonblock => Err(Errno::EAGAIN),
                _ => {
                    let attempt = || self.pipe.write(src, false, packets);
                    block_on(&self.pipe.writable, nonblock, FOREVER, Errno::EAGAIN, attempt)
                }
            };
            match r {
                Ok(0) => return Ok(total),
                Ok(n) => total += n,
                Err(e) if total == 0 => {
                    // As on Linux: a reader that did not read everything is reminded.
                    if e == Errno::EAGAIN {
                        self.pipe.readable.notify(READABLE);
                    }
                    return Err(e);
                }
                Err(_) => return Ok(total),
            }
            if src.left() == 0 {
                return Ok(total);
            }
        }
    }
}

impl FileLike for PipeEnd {
    fn description(&self) -> &Description {
        &self.description
    }
    fn special_flags(&self) -> OpenFlags {
        OpenFlags::ASYNC
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.read_as(dst, self.description.nonblock())
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        let all = src.left();
        if all == 0 || !self.flags().contains(OpenFlags::DIRECT) && self.pipe.write_short(src) {
            return Ok(all);
        }
        // Looked up again, so that nothing has to be kept for it above.
        self.write_long(src, self.flags())
    }
    fn read_now(&self, dst: &mut Sink<'_>) -> Result<usize> {
        if dst.left() == 0 { Ok(0) } else { self.read_when_there(dst, true) }
    }
    fn write_now(&self, src: &mut Source<'_>) -> Result<usize> {
        if src.left() == 0 { Ok(0) } else { self.write_long(src, self.flags() | OpenFlags::NONBLOCK) }
    }
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        let f = self.flags();
        if let Some(w) = watcher {
            if f.readable() {
                self.pipe.readable.add(w);
            }
            if f.writable() {
                self.pipe.writable.add(w);
            }
        }
        let mut s = self.pipe.state.lock();
        let mut e = Events::empty();
        if f.readable() {
            s.in_hand();
            if !s.slots.is_empty() {
                e |= Events::IN | Events::RDNORM;
            }
            // A FIFO that never had a writer is not hung up.
            if s.writers == 0 && s.writer_opens > 0 {
                e |= Events::HUP;
            }
        }
        if f.writable() {
            if !s.slots.is_full() {
                e |= Events::OUT | Events::WRNORM;
            }
            if s.readers == 0 {
                e |= Events::ERR;
            }
        }
        e
    }
    fn unwatch(&self, w: &Arc<dyn Watcher>) {
        self.pipe.readable.remove(w);
        self.pipe.writable.remove(w);
    }
    fn stat(&self) -> Result<Stat> {
        if let Some(p) = &self.path {
            return p.inode().stat();
        }
        Ok(self.pipe.state.lock().stat)
    }
    fn set_attr(&self, attr: &SetAttr) -> Result<()> {
        attr.apply(&mut self.pipe.state.lock().stat);
        Ok(())
    }
    fn unread(&self) -> Option<usize> {
        Some(self.pipe.state.lock().slots.bytes())
    }
    fn place(&self) -> Option<&dyn Any> {
        self.path.as_ref().map(|p| p as _)
    }
    fn describe(&self) -> String {
        match &self.path {
            Some(p) => crate::openfile::describe(p),
            None => Text::new().s("pipe:[").n(self.pipe.state.lock().stat.ino).s("]").string(),
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let f = self.flags();
        let mut s = self.pipe.state.lock();
        s.readers -= usize::from(f.readable());
        s.writers -= usize::from(f.writable());
        let (no_reader, no_writer) = (s.readers == 0, s.writers == 0);
        if no_reader && no_writer {
            // A FIFO keeps nothing once everyone has closed it.
            s.slots.slots = VecDeque::new();
            s.slots.spare = None;
        }
        drop(s);
        if no_writer {
            self.pipe.readable.notify(Events::IN | Events::HUP);
        }
        if no_reader {
            self.pipe.writable.notify(Events::OUT | Events::ERR);
        }
    }
}
