//! The ring with its slots: a slot holds one message and its reply. All of it is under one lock.

use crate::dma::DmaBuf;
use crate::virtio::queue::{Queue, Segment};
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::memory::with_room;
use libos_base::thread::Park;

/// Room for a request: a name and the text of a symbolic link, of 3,800 bytes at most.
pub(super) const REQUEST: usize = 4080;
/// Room for a reply without payload: the longest is the text of a symbolic link.
pub(super) const REPLY: usize = 8192 - REQUEST;
/// Messages in flight; more have to wait. A slot's number is its message's tag.
const SLOTS: usize = 16;
/// Tag of the message that begins a session.
const NOTAG: [u8; 2] = [0xff; 2];

/// A message's place in memory.
pub(super) struct Slot {
    buf: DmaBuf,
    state: State,
}

enum State {
    Free,
    /// With the device; the thread to wake, if one waits.
    Sent(Option<Arc<dyn Park>>),
    /// The reply has this many bytes.
    Done(usize),
}

impl Slot {
    /// A free one; `None` when memory is short.
    pub(super) fn new() -> Option<Self> {
        Some(Self { buf: DmaBuf::new(REQUEST + REPLY, 16)?, state: State::Free })
    }
}

/// The state of a call.
pub(super) enum Reply {
    Waiting,
    /// The reply was copied; its length, payload included, as the device reports it.
    Here(usize),
    /// There will be none.
    Broken,
}

/// See the module.
pub(super) struct Ring {
    queue: Queue,
    slots: Vec<Slot>,
}

impl Ring {
    pub(super) fn new(queue: Queue) -> Option<Self> {
        Some(Self { queue, slots: with_room(SLOTS).ok()? })
    }

    pub(super) fn broken(&self) -> bool {
        self.queue.broken()
    }

    fn free_slot(&self) -> Option<usize> {
        self.slots.iter().position(|s| matches!(s.state, State::Free))
    }

    /// Whether another slot would help.
    pub(super) fn wants_slot(&self) -> bool {
        self.slots.len() < SLOTS && self.free_slot().is_none()
    }
    pub(super) fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }
    pub(super) fn add_slot(&mut self, slot: Slot) {
        if self.slots.len() < SLOTS {
            self.slots.push(slot);
        }
    }

    /// Sends a message; returns its slot, or `None` when there is no room now. The chain's ends are filled in here: its
    /// first entry for the request, entry `answer` for the reply, of which at most `room` bytes go there.
    pub(super) fn send(
        &mut self,
        request: &[u8],
        chain: &mut [Segment],
        answer: usize,
        room: usize,
        waiter: Option<Arc<dyn Park>>,
    ) -> Option<usize> {
        let n = self.free_slot()?;
        if usize::from(self.queue.free()) < chain.len() {
            return None;
        }
        let slot = &mut self.slots[n];
        // SAFETY: the slot is free: none of it is with the device.
        let bytes = unsafe { slot.buf.slice_mut(0, request.len()) };
        bytes.copy_from_slice(request);
        if bytes[5..7] != NOTAG {
            bytes[5..7].copy_from_slice(&(n as u16).to_le_bytes());
        }
        let at = slot.buf.phys();
        chain[0] = Segment { addr: at, len: request.len() as u32, device_writes: false };
        chain[answer] = Segment { addr: at + REQUEST as u64, len: room.min(REPLY) as u32, device_writes: true };
        // SAFETY: the slot's memory lives as long as the ring. The caller holds the payload's pages until the reply
        // comes, or resets the device.
        unsafe { self.queue.add(chain, n as u16) }.ok()?;
        slot.state = State::Sent(waiter);
        self.queue.kick();
        Some(n)
    }

    /// Takes replies from the device; returns how many slots became free.
    pub(super) fn complete(&mut self) -> usize {
        let mut freed = 0;
        loop {
            while let Some((slot, len)) = self.queue.pop() {
                let Some(slot) = self.slots.get_mut(usize::from(slot)) else { continue };
                let old = core::mem::replace(&mut slot.state, State::Done(len as usize));
                match old {
                    State::Sent(Some(t)) => t.unpark(),
                    _ => {
                        slot.state = State::Free;
                        freed += 1;
                    }
                }
            }
            if self.queue.broken() {
                // No reply will come any more.
                for s in &self.slots {
                    if let State::Sent(Some(t)) = &s.state {
                        t.unpark();
                    }
                }
                return SLOTS;
            }
            if !self.queue.enable_interrupt() {
                return freed;
            }
        }
    }

    /// Copies a reply out, if it came, and frees its slot.
    pub(super) fn take(&mut self, n: usize, reply: &mut [u8]) -> Reply {
        let Some(slot) = self.slots.get_mut(n) else { return Reply::Broken };
        let State::Done(len) = slot.state else {
            return if self.queue.broken() { Reply::Broken } else { Reply::Waiting };
        };
        let count = reply.len().min(len).min(REPLY);
        // SAFETY: the device gave the slot back.
        reply[..count].copy_from_slice(unsafe { slot.buf.slice(REQUEST, count) });
        slot.state = State::Free;
        Reply::Here(len)
    }
}
