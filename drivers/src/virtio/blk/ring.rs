//! One queue and the requests in flight in it.

use super::chain::Chain;
use crate::dma::DmaBuf;
use crate::virtio::queue::{Full, Queue, Segment};
use crate::virtio::transport::Notifier;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::block::{Completion, Op};
use libos_base::memory::with_room;
use libos_base::sync::{IrqSpinLock, WaitQueue, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
    pub const GET_ID: u32 = 8;
    pub const DISCARD: u32 = 11;
}

const OK: u8 = 0;
const UNSUPPORTED: u8 = 2;
/// A status that no device returns.
const NO_ANSWER: u8 = 0xff;

/// What the device reads and writes besides the data: a cache line per request.
mod line {
    /// Type, reserved, sector.
    pub const HEADER: usize = 0;
    pub const HEADER_LEN: usize = 16;
    /// Sector, sectors, flags.
    pub const DISCARD: usize = 16;
    pub const DISCARD_LEN: usize = 16;
    pub const STATUS: usize = 32;
    /// The answer to GET_ID.
    pub const ID: usize = 40;
    pub const ID_LEN: usize = 20;
    pub const LEN: usize = 64;
}

/// A request that is with the device.
struct Slot {
    chain: Chain,
    done: Arc<Completion>,
}

struct State {
    queue: Queue,
    lines: DmaBuf,
    slots: Vec<Option<Slot>>,
    free: Vec<u16>,
    scratch: Vec<Segment>,
    /// A thread found no room.
    starving: bool,
    /// The next interrupt comes only when everything in flight is done.
    late: bool,
    /// The device was given up on.
    dead: bool,
}

/// A queue, its requests, and the threads that wait for room in it.
pub(super) struct Ring {
    state: IrqSpinLock<State>,
    room: WaitQueue,
}

impl Ring {
    /// `None`: too small a queue, or no memory.
    pub fn new(queue: Queue) -> Option<Self> {
        let size = queue.size();
        // Header, one piece, status.
        if size < 3 {
            return None;
        }
        let n = size / 2;
        let lines = DmaBuf::new(usize::from(n) * line::LEN, line::LEN)?;
        let (mut slots, mut free) = (with_room(n.into()).ok()?, with_room(n.into()).ok()?);
        slots.resize_with(n.into(), || None);
        free.extend((0..n).rev());
        let scratch = with_room(size.into()).ok()?;
        let state = State { queue, lines, slots, free, scratch, starving: false, late: false, dead: false };
        Some(Self { state: IrqSpinLock::new(class::DISK_RING, state), room: WaitQueue::new() })
    }

    /// Requests interrupts from now on.
    pub fn start(&self) {
        let _ = self.state.lock().queue.enable_interrupt();
    }

    /// Puts a chain into the queue; waits while there is no room. The device may not see it before [`Self::kick`].
    pub fn add(&self, chain: Chain, done: &Arc<Completion>) {
        done.add(1);
        let mut slot = Some(Slot { chain, done: done.clone() });
        let _ = self.room.wait(FOREVER, false, || {
            let mut s = self.state.lock();
            if s.dead {
                return slot.take().map(|slot| slot.done.done(Err(Errno::EIO)));
            }
            if s.add(&mut slot) {
                return Some(());
            }
            // Only requests that the device finishes make room.
            s.starving = true;
            let bell = s.queue.prepare_kick();
            drop(s);
            ring(bell);
            None
        });
    }

    /// Notifies the device of the last `batch` chains, if it sleeps. When it has nothing else to do, one interrupt
    /// reports that all of them are done. `true`: something is done already, and the caller must [`Self::reap`].
    #[must_use]
    pub fn kick(&self, batch: u16) -> bool {
        let mut s = self.state.lock();
        let mut missed = false;
        if s.late {
            // A new request must not wait for the whole of an earlier batch.
            s.late = false;
            missed = s.queue.enable_interrupt();
        } else if batch > 1 && s.queue.outstanding() == batch {
            s.late = s.queue.interrupt_when_all_done();
        }
        let bell = s.queue.prepare_kick();
        drop(s);
        ring(bell);
        missed
    }

    /// Completes what the device has done. `false`: it broke the protocol and must be stopped.
    pub fn reap(&self) -> bool {
        let mut s = self.state.lock();
        s.late = false;
        loop {
            while let Some((slot, _)) = s.queue.pop() {
                s.complete(slot);
            }
            if s.queue.broken() || !s.queue.enable_interrupt() {
                break;
            }
        }
        let wake = core::mem::take(&mut s.starving);
        let sound = s.dead || !s.queue.broken();
        drop(s);
        if wake {
            self.room.wake_all();
        }
        sound
    }

    /// Takes no more requests.
    pub fn close(&self) {
        self.state.lock().dead = true;
    }

    /// Fails everything in flight, after [`Self::close`]. `stopped`: the device no longer touches memory.
    pub fn fail(&self, stopped: bool) {
        loop {
            let slot = self.state.lock().slots.iter_mut().find_map(Option::take);
            let Some(Slot { chain, done }) = slot else { break };
            if !stopped {
                // Memory that a device may write to forever can never be reused.
                core::mem::forget(chain);
            }
            done.done(Err(Errno::EIO));
        }
        self.room.wake_all();
    }

    /// The host's name for the device.
    pub fn id(&self) -> Result<[u8; line::ID_LEN]> {
        let done = Completion::new()?;
        done.add(1);
        let slot = {
            let mut s = self.state.lock();
            let slot = s.free.pop().ok_or(Errno::EAGAIN)?;
            s.header(slot, kind::GET_ID, 0);
            let base = s.base(slot);
            s.scratch.clear();
            let id = Segment { addr: base + line::ID as u64, len: line::ID_LEN as u32, device_writes: true };
            s.scratch.push(head_of(base));
            s.scratch.push(id);
            s.scratch.push(status_of(base));
            let empty = Chain { op: Op::Read, sector: 0, sectors: 0, segments: Vec::new(), pieces: Vec::new() };
            s.give(slot, Slot { chain: empty, done: done.clone() })?;
            slot
        };
        if self.kick(1) {
            self.reap();
        }
        done.wait()?;
        let s = self.state.lock();
        // SAFETY: the request is done, and the first slot taken after it is this one: none was taken since `done`,
        // because nobody else knows of the device yet.
        Ok(core::array::from_fn(|i| unsafe {
            s.lines.slice(usize::from(slot) * line::LEN + line::ID, line::ID_LEN)[i]
        }))
    }
}

fn ring(bell: Option<Notifier>) {
    if let Some(n) = bell {
        n.notify();
    }
}

fn head_of(base: u64) -> Segment {
    Segment { addr: base + line::HEADER as u64, len: line::HEADER_LEN as u32, device_writes: false }
}

fn status_of(base: u64) -> Segment {
    Segment { addr: base + line::STATUS as u64, len: 1, device_writes: true }
}

impl State {
    fn base(&self, slot: u16) -> u64 {
        self.lines.phys() + u64::from(slot) * line::LEN as u64
    }

    fn line(&mut self, slot: u16) -> &mut [u8] {
        // SAFETY: callers write only to lines that the device does not have: slots not in the queue.
        unsafe { self.lines.slice_mut(usize::from(slot) * line::LEN, line::LEN) }
    }

    fn header(&mut self, slot: u16, kind: u32, sector: u64) {
        let l = self.line(slot);
        l[line::HEADER..][..4].copy_from_slice(&kind.to_le_bytes());
        l[line::HEADER + 4..][..4].fill(0);
        l[line::HEADER + 8..][..8].copy_from_slice(&sector.to_le_bytes());
        l[line::STATUS] = NO_ANSWER;
    }

    /// Returns whether there was room; then `slot` is taken.
    fn add(&mut self, slot: &mut Option<Slot>) -> bool {
        let Some(Slot { chain, .. }) = slot else { return true };
        let data = if chain.op == Op::Discard { 1 } else { chain.pieces.len() };
        if data + 2 > self.queue.free().into() {
            return false;
        }
        let Some(number) = self.free.pop() else { return false };
        let base = self.base(number);
        let (kind, sector) = match chain.op {
            Op::Read => (kind::IN, chain.sector),
            Op::Write => (kind::OUT, chain.sector),
            Op::Flush => (kind::FLUSH, 0),
            Op::Discard => (kind::DISCARD, 0),
        };
        self.header(number, kind, sector);
        self.scratch.clear();
        self.scratch.push(head_of(base));
        if chain.op == Op::Discard {
            let l = &mut self.line(number)[line::DISCARD..][..line::DISCARD_LEN];
            l[..8].copy_from_slice(&chain.sector.to_le_bytes());
            l[8..12].copy_from_slice(&(chain.sectors as u32).to_le_bytes());
            l[12..].fill(0);
            let addr = base + line::DISCARD as u64;
            self.scratch.push(Segment { addr, len: line::DISCARD_LEN as u32, device_writes: false });
        } else {
            self.scratch.extend_from_slice(&chain.pieces);
        }
        self.scratch.push(status_of(base));
        let Some(slot) = slot.take() else { return true };
        // There is room, so this fails only when the queue is broken: then `Ring::fail` follows.
        let _ = self.give(number, slot);
        true
    }

    /// Hands `scratch` to the device.
    fn give(&mut self, number: u16, slot: Slot) -> Result<()> {
        self.slots[usize::from(number)] = Some(slot);
        // SAFETY: the pages live in the slot, the line in `self`, until `pop` returns the chain; the ring is never
        // dropped while the device runs.
        unsafe { self.queue.add(&self.scratch, number) }.map_err(|Full| Errno::EIO)
    }

    fn complete(&mut self, number: u16) {
        let Some(slot) = self.slots[usize::from(number)].take() else { return };
        self.free.push(number);
        // SAFETY: `pop` returned the chain, so the device is done with the line.
        let status = unsafe { self.lines.slice(usize::from(number) * line::LEN + line::STATUS, 1)[0] };
        let result = match status {
            OK => Ok(()),
            UNSUPPORTED if slot.chain.op == Op::Discard => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::EIO),
        };
        let Slot { chain, done } = slot;
        // The pages first: a woken thread may count their owners.
        drop(chain);
        done.done(result);
    }
}
