//! Linux's asynchronous I/O (io_submit(2) and its relatives).
//!
//! As on Linux for all files but those opened with O_DIRECT, a transfer is done by the time `io_submit` returns; only its
//! result waits to be fetched. So nothing is ever in flight: there is nothing to cancel, and `io_destroy` does not wait.
//!
//! A context is known by the address of a page that the program can read, as libaio looks there for a ring of results:
//! the page says that there is none, so results are fetched by `io_getevents` alone.

use super::file::{read_into, write_from};
use super::support::{deadline, masked};
use crate::mm::program::{self, Place};
use crate::mm::vma::{Flags, Prot};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use libos_base::abi::{Address, Fd, In, Out, RwFlags, SigSet, Timespec};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::sync::{SpinLock, WaitQueue, class};
use libos_base::{Errno, Result, user};
use libos_fs::eventfd::EventFd;
use libos_fs::files;

/// The most results that all contexts together have room for (fs.aio-max-nr).
const ALL_MAX: usize = 65536;

/// struct io_event (linux/aio_abi.h): the block's data, its address, the result, and 0.
type Event = [u64; 4];
/// struct iocb: data, key and flags of the transfer, what to do and with which file, memory, length, offset, reserved,
/// flags and eventfd.
type Block = [u64; 8];

/// IOCB_CMD_*.
mod command {
    pub const READ: u16 = 0;
    pub const WRITE: u16 = 1;
    pub const FSYNC: u16 = 2;
    pub const FDSYNC: u16 = 3;
    pub const READV: u16 = 7;
    pub const WRITEV: u16 = 8;
}
/// IOCB_FLAG_RESFD: an eventfd is told of the result.
const TELL_EVENTFD: u32 = 1;
/// IOCB_FLAG_IOPRIO: a hint.
const PRIORITY: u32 = 2;

struct Context {
    /// Of its page.
    at: usize,
    /// Most results, those that are being produced included.
    most: usize,
    results: SpinLock<Results>,
    arrived: WaitQueue,
    gone: AtomicBool,
}

struct Results {
    done: VecDeque<Event>,
    /// Places taken for transfers that are being done now.
    reserved: usize,
}

static CONTEXTS: SpinLock<Vec<Arc<Context>>> = SpinLock::new(class::AIO_CONTEXTS, Vec::new());

fn find(ctx: Address) -> Result<Arc<Context>> {
    CONTEXTS.lock().iter().find(|c| c.at == ctx.0).cloned().ok_or(Errno::EINVAL)
}

pub fn io_setup(n: u32, ctx: Out<u64>) -> Result<()> {
    if user::read::<u64>(In::new(ctx.address()))? != 0 || n == 0 {
        return Err(Errno::EINVAL);
    }
    // So many results would overflow a ring (aio_setup_ring()).
    if n > 0x1000_0000 / size_of::<Event>() as u32 {
        return Err(Errno::EINVAL);
    }
    let (most, asked) = (2 * n as usize, n as usize);
    let used: usize = CONTEXTS.lock().iter().map(|c| c.most / 2).sum();
    if used + asked > ALL_MAX {
        return Err(Errno::EAGAIN);
    }
    let mut done = VecDeque::new();
    done.try_reserve_exact(most)?;
    let at = program::map(Place::Any(0), PAGE_SIZE, Prot::READ, Flags::empty(), None, false)?;
    let results = SpinLock::new(class::AIO_RESULTS, Results { done, reserved: 0 });
    let context =
        libos_fs::util::try_arc(Context { at, most, results, arrived: WaitQueue::new(), gone: AtomicBool::new(false) });
    let registered = context.and_then(|context| {
        user::write(ctx, &(at as u64))?;
        let mut all = CONTEXTS.lock();
        all.try_reserve(1)?;
        all.push(context);
        Ok(())
    });
    if registered.is_err() {
        let _ = program::unmap(at, PAGE_SIZE);
    }
    registered
}

pub fn io_destroy(ctx: Address) -> Result<()> {
    let context = {
        let mut all = CONTEXTS.lock();
        let i = all.iter().position(|c| c.at == ctx.0).ok_or(Errno::EINVAL)?;
        all.swap_remove(i)
    };
    context.gone.store(true, SeqCst);
    context.arrived.wake_all();
    program::unmap(ctx.0, PAGE_SIZE)
}

/// Does the blocks one by one, until there is an error that is not a result of one of them.
pub fn io_submit(ctx: Address, count: i64, blocks: Address) -> Result<usize> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let context = find(ctx)?;
    for i in 0..count.min(context.most) {
        let one = user::read::<u64>(In::new(blocks.0.wrapping_add(8 * i))).and_then(|at| submit(&context, at as usize));
        if let Err(e) = one {
            return if i > 0 { Ok(i) } else { Err(e) };
        }
    }
    Ok(count.min(context.most))
}

fn submit(context: &Context, at: usize) -> Result<()> {
    let block: Block = user::read(In::new(at))?;
    let [data, key_flags, what, memory, len, offset, reserved, flags_event] = block;
    if reserved != 0 || (len as i64) < 0 {
        return Err(Errno::EINVAL);
    }
    {
        let mut r = context.results.lock();
        if r.done.len() + r.reserved >= context.most {
            return Err(Errno::EAGAIN);
        }
        r.reserved += 1;
    }
    let done = (|| {
        let file = files().fds.get(Fd((what >> 32) as i32))?;
        let (flags, number) = (flags_event as u32, Fd((flags_event >> 32) as i32));
        only_known(flags)?;
        let told = if flags & TELL_EVENTFD != 0 { Some(files().fds.get(number)?) } else { None };
        if told.as_ref().is_some_and(|e| e.downcast::<EventFd>().is_none()) {
            return Err(Errno::EINVAL);
        }
        // The key, by which nothing is found any more.
        user::write(Out::new(at + 8), &0u32)?;
        let transfer =
            Transfer { what: what as u16, memory: memory as usize, len: len as usize, offset: offset as i64 };
        Ok((transfer.run(&*file, RwFlags::from_bits_retain((key_flags >> 32) as u32))?, told))
    })();
    let mut r = context.results.lock();
    r.reserved -= 1;
    let (result, told) = done?;
    let result = result.map_or_else(|e| -(e as i64), |n| n as i64);
    // There is room: it was reserved.
    r.done.push_back([data, at as u64, result as u64, 0]);
    drop(r);
    context.arrived.wake_all();
    if let Some(eventfd) = told.as_ref().and_then(|e| e.downcast::<EventFd>()) {
        eventfd.signal();
    }
    Ok(())
}

fn only_known(flags: u32) -> Result<()> {
    if flags & !(TELL_EVENTFD | PRIORITY) != 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// What a block asks for.
struct Transfer {
    what: u16,
    memory: usize,
    len: usize,
    offset: i64,
}

impl Transfer {
    /// The outer error is that of `io_submit`, the inner one the result of the block.
    fn run(&self, file: &dyn FileLike, flags: RwFlags) -> Result<Result<usize>> {
        use command::*;
        let writes = matches!(self.what, WRITE | WRITEV);
        match self.what {
            FSYNC | FDSYNC => {
                if self.memory != 0 || self.len != 0 || self.offset != 0 || !flags.is_empty() {
                    return Err(Errno::EINVAL);
                }
                return match file.sync(self.what == FDSYNC) {
                    // It cannot be synchronised.
                    Err(Errno::EINVAL) => Err(Errno::EINVAL),
                    done => Ok(done.map(|()| 0)),
                };
            }
            READ | WRITE | READV | WRITEV => {}
            _ => return Err(Errno::EINVAL),
        }
        if !RwFlags::all().contains(flags) {
            return Err(Errno::EOPNOTSUPP);
        }
        let open = file.flags();
        if !(if writes { open.writable() } else { open.readable() }) {
            return Err(Errno::EBADF);
        }
        let at = u64::try_from(self.offset).map_err(|_| Errno::EINVAL)?;
        // Files without positions have one order only.
        let at = if file.seek(0, libos_base::abi::Whence::CUR) == Err(Errno::ESPIPE) { None } else { Some(at) };
        let done = if writes {
            let mut src = match self.what {
                WRITE => Source::user(In::new(self.memory), self.len)?,
                _ => Source::user_vecs(In::new(self.memory), self.len)?,
            };
            write_from(file, at, &mut src, flags)
        } else {
            let mut dst = match self.what {
                READ => Sink::user(Out::new(self.memory), self.len)?,
                _ => Sink::user_vecs(Out::new(self.memory), self.len)?,
            };
            read_into(file, at, &mut dst, flags)
        };
        if done == Err(Errno::EISDIR) { Err(Errno::EINVAL) } else { Ok(done) }
    }
}

fn fetch(ctx: Address, min: i64, max: i64, events: Address, until: u64) -> Result<usize> {
    let context = find(ctx)?;
    if min < 0 || min > max {
        return Err(Errno::EINVAL);
    }
    let (min, max) = (min as usize, max as usize);
    let mut n = 0;
    let take = || {
        while n < max {
            let Some(event) = context.results.lock().done.pop_front() else { break };
            if user::write(Out::<Event>::new(events.0.wrapping_add(32 * n)), &event).is_err() {
                context.results.lock().done.push_front(event);
                return Some(if n > 0 { Ok(n) } else { Err(Errno::EFAULT) });
            }
            n += 1;
        }
        if context.gone.load(SeqCst) && n < min {
            return Some(if n > 0 { Ok(n) } else { Err(Errno::EINVAL) });
        }
        (n >= min || until == 0).then_some(Ok(n))
    };
    match context.arrived.wait(until, true, take) {
        Ok(done) => done,
        Err(Errno::ETIMEDOUT) => Ok(n),
        Err(_) if n > 0 => Ok(n),
        Err(_) => Err(Errno::EINTR),
    }
}

pub fn io_getevents(ctx: Address, min: i64, max: i64, events: Address, timeout: In<Timespec>) -> Result<usize> {
    fetch(ctx, min, max, events, deadline(timeout)?)
}

pub fn io_pgetevents(
    ctx: Address,
    min: i64,
    max: i64,
    events: Address,
    timeout: In<Timespec>,
    sig: Address,
) -> Result<usize> {
    let until = deadline(timeout)?;
    // struct __aio_sigset.
    let [mask, size] = user::read_opt::<[u64; 2]>(In::new(sig.0))?.unwrap_or_default();
    masked(In::<SigSet>::new(mask as usize), size as usize, || fetch(ctx, min, max, events, until))
}
