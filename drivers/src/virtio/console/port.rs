//! One port: its two queues and buffers.

use super::PortId;
use crate::dma::DmaBuf;
use crate::virtio::find::{Connected, Device};
use crate::virtio::queue::{Queue, Segment};
use alloc::vec::Vec;
use virtio_drivers::{Error, Result};

const RX_SLOTS: u16 = 4;
const RX_LEN: usize = 512;
const TX_SLOTS: u16 = 8;
const TX_LEN: usize = 1024;
/// Names longer than this are cut.
const NAME: usize = 64;

struct Buffers {
    rx: DmaBuf,
    tx: DmaBuf,
    /// By head: the slot it names.
    rx_owner: Vec<u8>,
    tx_owner: Vec<u8>,
    /// Bit n: slot n is free.
    tx_free: u8,
    /// The slot being read, how much of it was read, and where its data ends.
    current: Option<(u8, usize, usize)>,
}

/// A port of a console device.
pub struct Port {
    id: PortId,
    rx: Queue,
    tx: Queue,
    buffers: Option<Buffers>,
    name: [u8; NAME],
    name_len: usize,
    pub(super) present: bool,
    pub(super) host_open: bool,
}

fn owners(n: u16) -> Result<Vec<u8>> {
    let mut v = Vec::new();
    v.try_reserve_exact(n.into()).map_err(|_| Error::DmaError)?;
    v.resize(n.into(), 0);
    Ok(v)
}

impl Port {
    /// Sets up the queues of port `id` (5.3.2).
    pub(super) fn new(device: &mut Device, irq: Connected, id: PortId) -> Option<Self> {
        let first = if id == 0 { 0 } else { 2 * id as u16 + 2 };
        for q in [first, first + 1] {
            device.assign_queue(irq, q);
        }
        let rx = Queue::new(&mut device.transport, first, RX_SLOTS, false)?;
        let mut tx = Queue::new(&mut device.transport, first + 1, TX_SLOTS, false)?;
        tx.disable_interrupt();
        Some(Self { id, rx, tx, buffers: None, name: [0; NAME], name_len: 0, present: false, host_open: false })
    }

    /// Its number.
    pub fn id(&self) -> PortId {
        self.id
    }
    /// Its name; empty when it has none.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.name_len]
    }
    /// Whether someone on the host has it open. QEMU throws away data written while nobody has.
    pub fn host_open(&self) -> bool {
        self.host_open
    }
    /// Whether [`super::Console::read`] would return bytes.
    pub fn readable(&self) -> bool {
        self.buffers.as_ref().is_some_and(|b| b.current.is_some()) || self.rx.pending()
    }
    /// Whether [`super::Console::write`] would take bytes.
    pub fn writable(&self) -> bool {
        self.buffers.as_ref().is_some_and(|b| b.tx_free != 0) || self.tx.pending()
    }

    pub(super) fn set_name(&mut self, name: &[u8]) {
        self.name_len = name.len().min(NAME);
        self.name[..self.name_len].copy_from_slice(&name[..self.name_len]);
    }

    /// The only port of a device without F_MULTIPORT.
    pub(super) fn single(&mut self) -> Result<()> {
        (self.present, self.host_open) = (true, true);
        self.prepare().map(|_| ())
    }

    /// Allocates the buffers and gives the device those to receive into. `false`: that was already done.
    pub(super) fn prepare(&mut self) -> Result<bool> {
        if self.buffers.is_some() {
            return Ok(false);
        }
        let slots = TX_SLOTS.min(self.tx.size());
        let b = Buffers {
            rx: DmaBuf::new(usize::from(RX_SLOTS) * RX_LEN, 64).ok_or(Error::DmaError)?,
            tx: DmaBuf::new(usize::from(TX_SLOTS) * TX_LEN, 64).ok_or(Error::DmaError)?,
            rx_owner: owners(self.rx.size())?,
            tx_owner: owners(self.tx.size())?,
            tx_free: u8::MAX >> (8 - slots),
            current: None,
        };
        let b = self.buffers.insert(b);
        for slot in 0..RX_SLOTS.min(self.rx.size()) {
            give(&mut self.rx, b, slot as u8);
        }
        self.rx.kick();
        Ok(true)
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        let Some(b) = &mut self.buffers else { return 0 };
        let (mut done, mut returned) = (0, false);
        while done < buf.len() {
            let (slot, from, end) = match b.current {
                Some(c) => c,
                None => match self.rx.pop() {
                    Some((head, written)) => (b.rx_owner[usize::from(head)], 0, (written as usize).min(RX_LEN)),
                    None => break,
                },
            };
            let n = (end - from).min(buf.len() - done);
            // SAFETY: the slot was popped and not given back, so the device is done with it.
            buf[done..done + n].copy_from_slice(unsafe { b.rx.slice(usize::from(slot) * RX_LEN + from, n) });
            done += n;
            if from + n == end {
                b.current = None;
                give(&mut self.rx, b, slot);
                returned = true;
            } else {
                b.current = Some((slot, from + n, end));
            }
        }
        if returned {
            self.rx.kick();
        }
        done
    }

    fn reclaim(&mut self) {
        let Some(b) = &mut self.buffers else { return };
        while let Some((head, _)) = self.tx.pop() {
            b.tx_free |= 1 << b.tx_owner[usize::from(head)];
        }
    }

    /// Copies into free slots, for the device to see at the next [`Self::notify`].
    fn push(&mut self, bytes: &[u8]) -> usize {
        self.reclaim();
        let Some(b) = &mut self.buffers else { return 0 };
        let mut done = 0;
        for piece in bytes.chunks(TX_LEN) {
            if b.tx_free == 0 {
                break;
            }
            let slot = b.tx_free.trailing_zeros() as usize;
            // SAFETY: the slot is free, so the device does not look at it.
            unsafe { b.tx.slice_mut(slot * TX_LEN, piece.len()) }.copy_from_slice(piece);
            let addr = b.tx.phys() + (slot * TX_LEN) as u64;
            let segment = Segment { addr, len: piece.len() as u32, device_writes: false };
            // SAFETY: the buffer lives until the device was reset; the slot is not written to before `pop`.
            let Ok(head) = (unsafe { self.tx.add(&[segment]) }) else { break };
            b.tx_owner[usize::from(head)] = slot as u8;
            b.tx_free &= !(1 << slot);
            done += piece.len();
        }
        self.tx.publish();
        done
    }

    /// Notifies the device of what was pushed, if it has to be.
    pub(super) fn notify(&mut self) {
        self.tx.kick();
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = self.push(bytes);
        // Full: ask for an interrupt, and check again in case room became free meanwhile.
        while done < bytes.len() && self.buffers.is_some() && {
            self.notify();
            self.tx.enable_interrupt()
        } {
            match self.push(&bytes[done..]) {
                0 => break,
                n => done += n,
            }
        }
        if done == bytes.len() {
            self.tx.disable_interrupt();
        }
        done
    }

    /// See [`super::Console::drained`].
    pub(super) fn drained(&mut self) -> bool {
        loop {
            self.reclaim();
            if self.tx.outstanding() == 0 || self.tx.broken() {
                return true;
            }
            if !self.tx.enable_interrupt() {
                return false;
            }
        }
    }

    pub(super) fn write_polled(&mut self, bytes: &[u8], patience: u32) -> usize {
        let mut done = 0;
        for _ in 0..patience {
            match self.push(&bytes[done..]) {
                0 => core::hint::spin_loop(),
                n => done += n,
            }
            self.notify();
            if done == bytes.len() {
                break;
            }
        }
        for _ in 0..patience {
            self.reclaim();
            if self.tx.outstanding() == 0 || self.tx.broken() {
                break;
            }
            core::hint::spin_loop();
        }
        done
    }
}

fn give(rx: &mut Queue, b: &mut Buffers, slot: u8) {
    let addr = b.rx.phys() + (usize::from(slot) * RX_LEN) as u64;
    // SAFETY: the buffer lives until the device was reset; the slot is read only after `pop`.
    if let Ok(head) = unsafe { rx.add(&[Segment { addr, len: RX_LEN as u32, device_writes: true }]) } {
        b.rx_owner[usize::from(head)] = slot;
    }
}
