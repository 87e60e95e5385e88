//! virtio-net (virtio 1.2, 5.1): one queue pair, checksum and segmentation offload, mergeable buffers, event index.
//!
//! The receiver and the sender share nothing, so they can be under two locks ([`Net::rx`], [`Net::tx`] are public).
//! The kernel's loop is: `receive` until `None`; [`Rx::enable_interrupt`]; if that says that more came, repeat,
//! otherwise sleep until the callback given to [`Net::new`] has run. The callback runs in interrupt context and only
//! wakes.

mod config;
mod header;
mod rx;
#[cfg(test)]
mod tests;
mod tx;

pub use config::{Info, Options};
pub use header::{Gso, TxMeta};
pub use rx::{Rx, RxFrame};
pub use tx::{Tx, TxError};

use super::find::{Connected, Device};
use super::queue::Queue;
use super::transport::Cause;
use alloc::sync::Arc;
use config::{Agreed, feature};
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error, Result};

const RX: u16 = 0;
const TX: u16 = 1;

/// A network card.
pub struct Net {
    /// Before the buffers, because it stops using them when it is dropped.
    device: Device,
    /// What was negotiated.
    pub info: Info,
    /// The receiver.
    pub rx: Rx,
    /// The sender.
    pub tx: Tx,
}

impl Net {
    /// Takes a device of id [`super::id::NET`] into use. `on_irq` runs in interrupt context when frames arrived, when
    /// a full sender has room again, or when the link changed.
    pub fn new(mut device: Device, options: &Options, on_irq: Arc<dyn Fn(Cause) + Send + Sync>) -> Result<Self> {
        let offered = device.transport.read_device_features();
        let agreed = Agreed(device.transport.negotiate(config::wanted(offered))?);
        let info = Info::read(&device.transport, agreed, options)?;
        let irq = device.connect(on_irq);
        for q in [RX, TX] {
            if irq == Connected::Msix && !device.assign_queue(irq, q) {
                return Err(Error::Unsupported);
            }
        }
        let per_frame = if agreed.split_header() { 2 } else { 1 };
        let event_idx = agreed.has(super::feature::EVENT_IDX);
        let t = &mut device.transport;
        let want_rx = options.rx_buffers.saturating_mul(per_frame);
        let want_tx = (options.tx_buffers + options.tx_large).saturating_mul(per_frame);
        let rxq = Queue::new(t, RX, want_rx, event_idx).ok_or(Error::DmaError)?;
        let txq = Queue::new(t, TX, want_tx, event_idx).ok_or(Error::DmaError)?;
        let mut rx = Rx::new(rxq, agreed, &info, options).ok_or(Error::DmaError)?;
        let tx = Tx::new(txq, agreed, &info, options).ok_or(Error::DmaError)?;
        let info = Info { max_frame: tx.max_frame(), ..info };
        t.finish_init();
        // Only now may the device be notified (3.1.1).
        rx.start();
        Ok(Self { device, info, rx, tx })
    }

    /// Whether the cable is plugged in, as far as the device says.
    pub fn link_up(&self) -> bool {
        !self.info.agreed.has(feature::STATUS)
            || self.device.transport.config_u16(config::STATUS_OFFSET).map_or(true, |s| s & 1 != 0)
    }
}
