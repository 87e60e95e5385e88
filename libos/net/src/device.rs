//! What the stack needs from a network card. The kernel's glue implements it over a driver; tests over queues.

/// What a card can do for us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caps {
    /// It fills in TCP and UDP checksums of frames whose [`TxMeta`] asks for it.
    pub tx_checksum: bool,
    /// It cuts IPv4 TCP frames of at most this many bytes (Ethernet header included) into segments, and those of IPv6.
    pub tso4: Option<usize>,
    pub tso6: Option<usize>,
}

/// What a card should do with one frame. All zeros: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxMeta {
    /// Where checksumming starts; 0 means that the frame is complete. The checksum field holds the (uncomplemented) sum
    /// of the pseudo header, as virtio expects.
    pub csum_start: u16,
    /// Where the checksum goes, relative to `csum_start`.
    pub csum_offset: u16,
    /// Payload bytes in each segment that the card should cut; 0: send as is. Otherwise the frame is TCP.
    pub gso_size: u16,
    /// Length of the headers that go before each segment.
    pub header_len: u16,
}

/// A network card. Used under the stack's lock, from threads only.
pub trait NetDevice: Send {
    /// Its Ethernet address.
    fn mac(&self) -> [u8; 6];
    /// Largest IP packet (1500).
    fn mtu(&self) -> usize;
    fn caps(&self) -> Caps;
    /// Passes the next received frame to `f`; false if there is none. The flag: the card (or the host, for a frame that
    /// was never on a wire) vouches for the TCP or UDP checksum.
    fn receive(&mut self, f: &mut dyn FnMut(&[u8], bool)) -> bool;
    /// Whether a frame of any size can be queued now.
    fn tx_ready(&mut self) -> bool;
    /// Queues a frame of `len` bytes that `fill` writes. False, without calling `fill`, if there is no room. The card
    /// need not be notified before [`flush`](Self::flush).
    fn transmit(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool;
    /// Notifies the card once of everything queued.
    fn flush(&mut self);
    /// Asks for an interrupt at the next received frame and, with `tx`, also when there is room to transmit. True if
    /// there is something already: call again after polling.
    fn arm(&mut self, tx: bool) -> bool;
    /// An interrupt has come: asks for no more of them until [`arm`](Self::arm).
    fn disarm(&mut self) {}
    /// Whether the cable is plugged in.
    fn link_up(&self) -> bool {
        true
    }
}
