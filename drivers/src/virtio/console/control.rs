//! The control queues of a multiport device (virtio 1.2, 5.3.6.2).

use super::slots::{Inbox, Outbox};
use crate::virtio::find::{Connected, Device};
use crate::virtio::queue::Queue;

const RX: u16 = 2;
const TX: u16 = 3;
/// QEMU drops control messages for which it finds no buffer, and announces all ports (31) at once.
const BUFFERS: u16 = 32;
/// A message is 8 bytes and maybe a name.
const RX_LEN: usize = 128;
const HEADER: usize = 8;
/// How often to check the ring while waiting for room in a full control queue.
const PATIENCE: u32 = 1_000_000;

const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_REMOVE: u16 = 2;
pub(super) const PORT_READY: u16 = 3;
pub(super) const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

/// A port's name as it arrived.
pub(super) struct Name {
    bytes: [u8; RX_LEN - HEADER],
    len: usize,
}

impl Name {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

pub(super) enum Event {
    Add(u32),
    Remove(u32),
    Open(u32, bool),
    Name(u32, Name),
}

impl Event {
    pub(super) fn port(&self) -> u32 {
        let (Event::Add(p) | Event::Remove(p) | Event::Open(p, _) | Event::Name(p, _)) = self;
        *p
    }

    /// `None` for messages that are not understood, and for those that change nothing (CONSOLE_PORT, RESIZE).
    fn parse(m: &[u8]) -> Option<Self> {
        let id = u32::from_le_bytes(m.get(..4)?.try_into().ok()?);
        let event = u16::from_le_bytes(m.get(4..6)?.try_into().ok()?);
        let value = u16::from_le_bytes(m.get(6..8)?.try_into().ok()?);
        Some(match event {
            PORT_ADD => Event::Add(id),
            PORT_REMOVE => Event::Remove(id),
            PORT_OPEN => Event::Open(id, value != 0),
            PORT_NAME => {
                let text = &m[HEADER..];
                // Some hosts include a final NUL, some do not.
                let len = text.iter().position(|&b| b == 0).unwrap_or(text.len()).min(RX_LEN - HEADER);
                let mut name = Name { bytes: [0; RX_LEN - HEADER], len };
                name.bytes[..len].copy_from_slice(&text[..len]);
                Event::Name(id, name)
            }
            _ => return None,
        })
    }
}

pub(super) struct Control {
    rx: Inbox,
    tx: Outbox,
    /// Buffers were given back since the last notification.
    returned: bool,
}

impl Control {
    pub(super) fn new(device: &mut Device, irq: Connected) -> Option<Self> {
        device.assign_queue(irq, RX);
        device.assign_queue(irq, TX);
        let mut rx = Inbox::new(Queue::new(&mut device.transport, RX, BUFFERS, false)?, RX_LEN);
        let mut tx = Outbox::new(Queue::new(&mut device.transport, TX, BUFFERS, false)?, HEADER);
        rx.prepare(BUFFERS)?;
        tx.prepare(BUFFERS)?;
        Some(Self { rx, tx, returned: true })
    }

    /// After DRIVER_OK: the device may speak.
    pub(super) fn start(&mut self) {
        self.done();
        self.send(0, DEVICE_READY, 1);
    }

    /// The next message from the device.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let filled = self.rx.next()?;
            let event = Event::parse(self.rx.bytes(&filled));
            self.rx.give(filled);
            self.returned = true;
            if event.is_some() {
                return event;
            }
        }
    }

    /// Tells the device about the buffers given back.
    pub(super) fn done(&mut self) {
        if core::mem::replace(&mut self.returned, false) {
            self.rx.queue.kick();
        }
    }

    pub(super) fn send(&mut self, id: u32, event: u16, value: u16) {
        let mut message = [0; HEADER];
        message[..4].copy_from_slice(&id.to_le_bytes());
        message[4..6].copy_from_slice(&event.to_le_bytes());
        message[6..].copy_from_slice(&value.to_le_bytes());
        for _ in 0..PATIENCE {
            self.tx.reclaim();
            if self.tx.add(&message) {
                return self.tx.queue.kick();
            }
            if self.tx.queue.broken() {
                break;
            }
            core::hint::spin_loop();
        }
        libos_base::error!("virtio-console: the device does not take control messages");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let name = Event::parse(b"\x03\0\0\0\x07\0\x01\0org.unibody.stdio\0");
        assert!(matches!(name, Some(Event::Name(3, n)) if n.bytes() == b"org.unibody.stdio"));
        let bare = Event::parse(b"\x03\0\0\0\x07\0\x01\0x");
        assert!(matches!(bare, Some(Event::Name(3, n)) if n.bytes() == b"x"));
        assert!(matches!(Event::parse(b"\x01\0\0\0\x06\0\x01\0"), Some(Event::Open(1, true))));
        assert!(matches!(Event::parse(b"\x01\0\0\0\x06\0\0\0"), Some(Event::Open(1, false))));
        assert!(Event::parse(b"\x01\0\0\0\x05\0\0\0aaaa").is_none(), "resize");
        for n in 0..8 {
            assert!(Event::parse(&[0; 8][..n]).is_none());
        }
        let mut long = [b'n'; 300];
        long[..8].copy_from_slice(b"\x01\0\0\0\x07\0\x01\0");
        assert!(matches!(Event::parse(&long), Some(Event::Name(1, n)) if n.bytes().len() == RX_LEN - HEADER));
    }
}
