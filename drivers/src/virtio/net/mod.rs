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
    /// What was negotiated.
    pub info: Info,
    /// The receiver.
    pub rx: Rx,
    /// The sender.
    pub tx: Tx,
    device: Device,
    irq: Connected,
}

impl Net {
    /// Takes a device of id [`super::id::NET`] into use. `on_irq` runs in interrupt context when frames arrived, when
    /// a full sender has room again, or when the link changed.
    pub fn new(mut device: Device, options: &Options, on_irq: Arc<dyn Fn(Cause) + Send + Sync>) -> Result<Self> {
        let made = Self::bring_up(&mut device, options, on_irq);
        match made {
            Ok((info, rx, tx, irq)) => Ok(Self { info, rx, tx, device, irq }),
            Err(e) => {
                // The rings are gone: the device must forget them too.
                let _ = device.transport.reset();
                Err(e)
            }
        }
    }

    fn bring_up(
        device: &mut Device,
        options: &Options,
        on_irq: Arc<dyn Fn(Cause) + Send + Sync>,
    ) -> Result<(Info, Rx, Tx, Connected)> {
        let offered = device.transport.read_device_features();
        let agreed = Agreed(device.transport.negotiate(options.wanted(offered))?);
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
        Ok((info, rx, tx, irq))
    }

    /// Whether interrupts arrive; if not, the kernel must poll.
    pub fn interrupts(&self) -> bool {
        self.irq != Connected::Polled
    }

    /// Whether the cable is plugged in, as far as the device says.
    pub fn link_up(&self) -> bool {
        !self.info.agreed.has(feature::STATUS)
            || self.device.transport.config_u16(config::STATUS_OFFSET).map_or(true, |s| s & 1 != 0)
    }

    /// The device, for the log.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// See [`Rx::receive`].
    pub fn receive(&mut self) -> Option<RxFrame<'_>> {
        self.rx.receive()
    }
    /// See [`Rx::enable_interrupt`].
    #[must_use]
    pub fn enable_rx_interrupt(&mut self) -> bool {
        self.rx.enable_interrupt()
    }
    /// See [`Rx::disable_interrupt`].
    pub fn disable_rx_interrupt(&mut self) {
        self.rx.disable_interrupt();
    }
    /// See [`Tx::transmit`].
    pub fn transmit(
        &mut self,
        len: usize,
        meta: &TxMeta,
        fill: impl FnOnce(&mut [u8]),
    ) -> core::result::Result<(), TxError> {
        self.tx.transmit(len, meta, fill)
    }
    /// See [`Tx::flush`].
    pub fn flush(&mut self) {
        self.tx.flush();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Before the buffers are freed: the device stops all DMA once the reset is complete.
        let _ = self.device.transport.reset();
    }
}
