//! virtio-9p (Linux: include/uapi/linux/virtio_9p.h): messages of the 9P protocol, each with its reply in one chain.
//!
//! Several threads may call at the same time; each waits parked, and the interrupt wakes the one whose reply came. File
//! content goes between the device and page-cache pages without a copy: the pages are the end of the chain.

mod ring;
#[cfg(test)]
mod tests;

use super::feature::{ANY_LAYOUT, EVENT_IDX, VERSION_1};
use super::find::{Connected, Device};
use super::queue::{Queue, Segment};
use crate::dma::phys_of;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::{filled, with_room};
use libos_base::p9::{self, Payload};
use libos_base::page::Page;
use libos_base::sync::{IrqSpinLock, Mutex, WaitQueue, class};
use libos_base::thread::{self, FOREVER};
use libos_base::{Errno, time};
use ring::{REPLY, REQUEST, Reply, Ring, Slot};
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error, Result};

/// The device has a name, in config space.
const MOUNT_TAG: u64 = 1 << 0;
/// Entries of the queue; QEMU offers as many.
const ENTRIES: u16 = 128;
/// Size, kind and tag of a message.
const HEADER: usize = 7;
/// How often a waiting thread checks where no interrupt comes.
const LOOK_NS: u64 = 1_000_000;

/// What the interrupt needs.
struct Shared {
    ring: IrqSpinLock<Option<Ring>>,
    /// Threads that wait for a slot or descriptors.
    room: WaitQueue,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { ring: IrqSpinLock::new(class::P9_RING, None), room: WaitQueue::new() })
    }

    /// Takes replies from the device and wakes the threads that they are for.
    fn interrupt(&self) {
        let freed = self.ring.lock().as_mut().map_or(0, Ring::complete);
        if freed > 0 {
            self.room.wake(freed);
        }
    }
}

/// A 9P device.
pub struct P9 {
    /// Its mount tag.
    pub tag: Vec<u8>,
    shared: Arc<Shared>,
    device: Option<Mutex<Device>>,
    polled: bool,
    max_pages: usize,
}

impl P9 {
    /// Takes a device of id [`super::id::P9`] into use.
    pub fn new(mut device: Device) -> Result<Self> {
        let agreed = device.transport.negotiate(VERSION_1 | ANY_LAYOUT | EVENT_IDX | MOUNT_TAG)?;
        let mut tag = Vec::new();
        if agreed & MOUNT_TAG != 0 {
            let len = device.transport.config_u16(0)?.into();
            tag = filled(len, 0).map_err(|_| Error::DmaError)?;
            device.transport.read_config(2, &mut tag)?;
        }
        let shared = Shared::new();
        let to_wake = shared.clone();
        let irq = device.connect(Arc::new(move |_| to_wake.interrupt()));
        if irq == Connected::Msix && !device.assign_queue(irq, 0) {
            return Err(Error::Unsupported);
        }
        let queue = Queue::new(&mut device.transport, 0, ENTRIES, agreed & EVENT_IDX != 0).ok_or(Error::DmaError)?;
        let max_pages = max_pages(&queue);
        let ring = Ring::new(queue).ok_or(Error::DmaError)?;
        *shared.ring.lock() = Some(ring);
        device.transport.finish_init();
        let (device, polled) = (Some(Mutex::new(class::P9_DEVICE, device)), irq == Connected::Polled);
        Ok(Self { tag, shared, device, polled, max_pages })
    }

    /// For tests: over a queue that the test serves.
    #[cfg(test)]
    fn over(queue: Queue) -> Self {
        let (shared, max_pages) = (Shared::new(), max_pages(&queue));
        *shared.ring.lock() = Ring::new(queue);
        Self { tag: Vec::new(), shared, device: None, polled: false, max_pages }
    }

    /// Makes another slot when all are in use.
    fn make_room(&self) -> core::result::Result<(), Errno> {
        if self.shared.ring.lock().as_ref().is_some_and(Ring::wants_slot) {
            let slot = Slot::new();
            let mut ring = self.shared.ring.lock();
            match (ring.as_mut(), slot) {
                (Some(r), Some(s)) => r.add_slot(s),
                // Slots in use will be free again.
                (Some(r), None) if r.has_slots() => {}
                _ => return Err(Errno::ENOMEM),
            }
        }
        Ok(())
    }
}

impl p9::Transport for P9 {
    fn max_pages(&self) -> usize {
        self.max_pages
    }

    fn call(&self, request: &[u8], payload: Payload<'_>, reply: &mut [u8]) -> core::result::Result<usize, Errno> {
        let (pages, len, inward) = match payload {
            Payload::None => (&[][..], 0, false),
            Payload::Out(p, n) => (p, n, false),
            Payload::In(p, n) => (p, n, true),
        };
        assert!(len <= pages.len() * PAGE_SIZE);
        if !(HEADER..=REQUEST).contains(&request.len()) || pages.len() > self.max_pages {
            return Err(Errno::ENAMETOOLONG);
        }
        let (mut chain, answer) = chain(pages, len, inward)?;
        let room = if inward { reply.len() } else { REPLY };
        self.make_room()?;
        let slot = self.shared.room.wait(FOREVER, false, || {
            let mut ring = self.shared.ring.lock();
            match ring.as_mut() {
                Some(r) if !r.broken() => r.send(request, &mut chain, answer, room, Some(thread::current())).map(Ok),
                _ => Some(Err(Errno::EIO)),
            }
        })??;
        loop {
            // A statement of its own: the lock is free again before the thread parks.
            let state = self.shared.ring.lock().as_mut().map_or(Reply::Broken, |r| r.take(slot, reply));
            match state {
                Reply::Here(n) => {
                    self.shared.room.wake(1);
                    return Ok(n.min(reply.len() + if inward { len } else { 0 }));
                }
                Reply::Broken => {
                    // As long as the device runs, it may write to the pages of this call.
                    if let Some(d) = &self.device {
                        let _ = d.lock().transport.reset();
                    }
                    return Err(Errno::EIO);
                }
                Reply::Waiting if self.polled => {
                    thread::park(time::after(LOOK_NS), false);
                    self.shared.interrupt();
                }
                Reply::Waiting => {
                    thread::park(FOREVER, false);
                }
            }
        }
    }

    fn post(&self, request: &[u8]) -> bool {
        let mut chain = [Segment { addr: 0, len: 0, device_writes: false }; 2];
        let mut ring = self.shared.ring.lock();
        let Some(r) = ring.as_mut().filter(|r| !r.broken() && (HEADER..=REQUEST).contains(&request.len())) else {
            return false;
        };
        r.send(request, &mut chain, 1, REPLY, None).is_some()
    }
}

impl Drop for P9 {
    fn drop(&mut self) {
        // The device first: it uses the ring until then.
        self.device = None;
        let ring = self.shared.ring.lock().take();
        drop(ring);
    }
}

/// One entry for the request, one for the start of the reply; room for a second message of the kind.
fn max_pages(queue: &Queue) -> usize {
    usize::from(queue.size() / 2).saturating_sub(2).max(1)
}

/// A chain with room for the message's own entries, and which of them the reply is: after those that the device reads,
/// before the others that it writes. Pages that are adjacent in memory become one entry.
fn chain(pages: &[Arc<Page>], mut len: usize, inward: bool) -> core::result::Result<(Vec<Segment>, usize), Errno> {
    let own = Segment { addr: 0, len: 0, device_writes: false };
    let mut all: Vec<Segment> = with_room(2 + pages.len())?;
    all.push(own);
    if inward {
        all.push(own);
    }
    for p in pages {
        let (addr, n) = (phys_of(p.addr()), len.min(PAGE_SIZE));
        match all.last_mut() {
            _ if n == 0 => break,
            Some(last) if last.len > 0 && last.addr + u64::from(last.len) == addr => last.len += n as u32,
            _ => all.push(Segment { addr, len: n as u32, device_writes: inward }),
        }
        len -= n;
    }
    if inward {
        return Ok((all, 1));
    }
    all.push(own);
    let answer = all.len() - 1;
    Ok((all, answer))
}
