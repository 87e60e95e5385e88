//! What the stack asks of a network card. The kernel's glue implements it over a driver; tests over queues.

/// What a card does for us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caps {
    /// It fills in TCP and UDP checksums of frames whose [`TxMeta`] asks for it.
    pub tx_checksum: bool,
    /// It cuts IPv4 TCP frames of at most this many bytes (Ethernet header included) into segments.
    pub tso4: Option<usize>,
}

/// What a card shall do with one frame. All zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxMeta {
    /// Where checksumming starts; 0 means that the frame is complete. The checksum field holds the (not
    /// complemented) sum of the pseudo header, as virtio wants it.
    pub csum_start: u16,
    /// Where the checksum goes, counted from `csum_start`.
    pub csum_offset: u16,
    /// Payload bytes of each segment the card shall cut; 0: send as it is. The frame is then IPv4 TCP.
    pub gso_size: u16,
    /// Bytes of headers that go before each segment.
    pub header_len: u16,
}

/// A network card. Used under the stack's lock, from threads only.
pub trait NetDevice: Send {
    /// Its Ethernet address.
    fn mac(&self) -> [u8; 6];
    /// Largest IP packet (1500).
    fn mtu(&self) -> usize;
    /// Offloads.
    fn caps(&self) -> Caps;
    /// Hands the next received frame to `f`; false when there is none. The flag: the card (or the host, for a frame
    /// that never was on a wire) vouches for the TCP or UDP checksum.
    fn receive(&mut self, f: &mut dyn FnMut(&[u8], bool)) -> bool;
    /// Whether a frame of any size can be queued now.
    fn tx_ready(&mut self) -> bool;
    /// Queues a frame of `len` bytes that `fill` writes. False, with `fill` not called, when there is no room. The
    /// card need not hear of it before [`flush`](Self::flush).
    fn transmit(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool;
    /// Tells the card about everything queued: one notification.
    fn flush(&mut self);
    /// Asks for an interrupt at the next frame received and, with `tx`, also when transmit room appears. True when
    /// there already is something: call again after polling.
    fn arm(&mut self, tx: bool) -> bool;
    /// Whether the cable is in.
    fn link_up(&self) -> bool {
        true
    }
}
