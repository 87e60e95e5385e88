//! The virtio network card, with the interface that the stack wants.

use drivers::virtio::net::{self, Gso};
use libos_net::device::{Caps, NetDevice, TxMeta};

/// Ethernet header.
const HEADER: usize = 14;
/// Where it says what follows, and that this is IPv6, in the first of two bytes.
const ETHER_TYPE: usize = 12;
const IPV6: u8 = 0x86;

/// The card. The stack's lock is held around every method.
pub struct VirtioCard {
    card: net::Net,
    /// The longest frame on the wire.
    one: usize,
    /// The longest frame given to segmentation; the driver keeps buffers of its own for frames above `one`.
    longest: usize,
}

impl VirtioCard {
    /// Takes over the driver.
    pub fn new(card: net::Net) -> Self {
        let one = HEADER + usize::from(card.info.mtu);
        let longest = if card.info.tso4 || card.info.tso6 { card.info.max_frame } else { one };
        Self { card, one, longest }
    }
}

impl NetDevice for VirtioCard {
    fn mac(&self) -> [u8; 6] {
        self.card.info.mac
    }
    fn mtu(&self) -> usize {
        self.card.info.mtu.into()
    }
    fn caps(&self) -> Caps {
        let i = &self.card.info;
        let longest = |cuts: bool| (cuts && i.tx_csum).then_some(i.max_frame);
        Caps { tx_checksum: i.tx_csum, tso4: longest(i.tso4), tso6: longest(i.tso6) }
    }
    fn receive(&mut self, f: &mut dyn FnMut(&[u8], bool)) -> bool {
        match self.card.rx.receive() {
            Some(frame) => {
                f(frame.bytes(), frame.checksum_good);
                true
            }
            None => false,
        }
    }
    fn tx_ready(&mut self) -> bool {
        // Both kinds of buffers: a frame that is refused after this is lost, and costs a retransmission timeout.
        self.card.tx.ready(self.one) && (self.longest == self.one || self.card.tx.ready(self.longest))
    }
    fn transmit(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool {
        let sent = self.card.tx.transmit(len, |b| {
            let m = fill(b);
            let gso = if b[ETHER_TYPE] == IPV6 { Gso::Tcp6 } else { Gso::Tcp4 };
            net::TxMeta {
                csum: (m.csum_start != 0).then_some((m.csum_start, m.csum_offset)),
                gso: if m.gso_size != 0 { gso } else { Gso::None },
                gso_size: m.gso_size,
                header_len: m.header_len,
            }
        });
        sent.is_ok()
    }
    fn flush(&mut self) {
        self.card.tx.flush();
    }
    fn arm(&mut self, _tx: bool) -> bool {
        // A full sender has already asked for its interrupt, in `tx_ready`.
        self.card.rx.enable_interrupt()
    }
    fn disarm(&mut self) {
        self.card.rx.disable_interrupt();
    }
    fn link_up(&self) -> bool {
        self.card.link_up()
    }
}
