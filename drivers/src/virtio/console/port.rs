//! One port: its two queues and buffers.

use super::PortId;
use super::slots::{Filled, Inbox, Outbox};
use crate::virtio::find::{Connected, Device};
use crate::virtio::queue::Queue;
use virtio_drivers::{Error, Result};

const RX_SLOTS: u16 = 4;
const RX_LEN: usize = 512;
const TX_SLOTS: u16 = 8;
const TX_LEN: usize = 1024;
/// Names longer than this are cut.
const NAME: usize = 64;

/// A port of a console device.
pub struct Port {
    id: PortId,
    rx: Inbox,
    tx: Outbox,
    /// The buffer being read, and how much of it was read.
    current: Option<(Filled, usize)>,
    name: [u8; NAME],
    name_len: usize,
    pub(super) present: bool,
    pub(super) host_open: bool,
}

impl Port {
    /// Sets up the queues of port `id` (5.3.2).
    pub(super) fn new(device: &mut Device, irq: Connected, id: PortId) -> Option<Self> {
        let first = if id == 0 { 0 } else { 2 * id as u16 + 2 };
        for q in [first, first + 1] {
            device.assign_queue(irq, q);
        }
        let rx = Inbox::new(Queue::new(&mut device.transport, first, RX_SLOTS, false)?, RX_LEN);
        let tx = Outbox::new(Queue::new(&mut device.transport, first + 1, TX_SLOTS, false)?, TX_LEN);
        Some(Self { id, rx, tx, current: None, name: [0; NAME], name_len: 0, present: false, host_open: false })
    }

    /// Its number.
    pub fn id(&self) -> PortId {
        self.id
    }
    /// Its name; empty when it has none.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.name_len]
    }
    /// Whether [`super::Console::read`] would return bytes.
    pub fn readable(&self) -> bool {
        self.current.is_some() || self.rx.queue.pending()
    }
    /// Whether [`super::Console::write`] would take bytes.
    pub fn writable(&self) -> bool {
        self.tx.has_room()
    }

    pub(super) fn set_name(&mut self, name: &[u8]) {
        self.name_len = name.len().min(NAME);
        self.name[..self.name_len].copy_from_slice(&name[..self.name_len]);
    }

    /// The only port of a device without F_MULTIPORT.
    pub(super) fn single(&mut self) -> Result<()> {
        (self.present, self.host_open) = (true, true);
        self.prepare().map(drop)
    }

    /// Allocates the buffers and gives the device those to receive into. `false`: that was already done.
    pub(super) fn prepare(&mut self) -> Result<bool> {
        if self.tx.is_ready() {
            return Ok(false);
        }
        self.rx.prepare(RX_SLOTS).and_then(|()| self.tx.prepare(TX_SLOTS)).ok_or(Error::DmaError)?;
        self.rx.queue.kick();
        Ok(true)
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        let (mut done, mut returned) = (0, false);
        while done < buf.len() {
            let Some((filled, from)) = self.current.take().or_else(|| Some((self.rx.next()?, 0))) else { break };
            let bytes = &self.rx.bytes(&filled)[from..];
            let n = bytes.len().min(buf.len() - done);
            buf[done..done + n].copy_from_slice(&bytes[..n]);
            done += n;
            if n == bytes.len() {
                self.rx.give(filled);
                returned = true;
            } else {
                self.current = Some((filled, from + n));
            }
        }
        if returned {
            self.rx.queue.kick();
        }
        done
    }

    /// Copies into free buffers, for the device to see at the next [`Self::notify`].
    fn push(&mut self, bytes: &[u8]) -> usize {
        self.tx.reclaim();
        let done = bytes.chunks(TX_LEN).take_while(|piece| self.tx.add(piece)).map(<[u8]>::len).sum();
        self.tx.queue.publish();
        done
    }

    /// Notifies the device of what was pushed, if it has to be.
    pub(super) fn notify(&mut self) {
        self.tx.queue.kick();
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = self.push(bytes);
        // Full: ask for an interrupt, and check again in case room became free meanwhile.
        while done < bytes.len() && self.tx.is_ready() && {
            self.notify();
            self.tx.queue.enable_interrupt()
        } {
            match self.push(&bytes[done..]) {
                0 => break,
                n => done += n,
            }
        }
        if done == bytes.len() {
            self.tx.queue.disable_interrupt();
        }
        done
    }

    /// See [`super::Console::drained`].
    pub(super) fn drained(&mut self) -> bool {
        loop {
            self.tx.reclaim();
            if self.tx.is_drained() {
                return true;
            }
            if !self.tx.queue.enable_interrupt() {
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
            self.tx.reclaim();
            if self.tx.is_drained() {
                break;
            }
            core::hint::spin_loop();
        }
        done
    }
}
