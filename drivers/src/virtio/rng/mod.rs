//! virtio-rng (virtio 1.2, 5.4): bytes of entropy from the host.

use super::find::Device;
use super::queue::{Queue, Segment};
use crate::dma::DmaBuf;
use libos_base::time;
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error, Result};

/// Bytes requested at a time.
const PIECE: usize = 64;

/// An entropy source.
pub struct Rng {
    /// Before the buffer, because it stops using that when it is dropped.
    _device: Device,
    queue: Queue,
    buf: DmaBuf,
    /// A request from a call that timed out is still with the device.
    outstanding: bool,
}

impl Rng {
    /// Takes a device of id [`super::id::RNG`] into use. It is polled: requests are rare and short.
    pub fn new(mut device: Device) -> Result<Self> {
        device.transport.negotiate(super::feature::VERSION_1 | super::feature::ANY_LAYOUT)?;
        let buf = DmaBuf::new(PIECE, 64).ok_or(Error::DmaError)?;
        let mut queue = Queue::new(&mut device.transport, 0, 2, false).ok_or(Error::DmaError)?;
        queue.disable_interrupt();
        device.transport.finish_init();
        Ok(Self { _device: device, queue, buf, outstanding: false })
    }

    /// Fills as much of `out` as the device delivers within `patience_ns`; returns how many bytes.
    pub fn fill(&mut self, out: &mut [u8], patience_ns: u64) -> usize {
        let deadline = time::after(patience_ns);
        let mut done = 0;
        while done < out.len() {
            if !self.outstanding {
                let segment = Segment { addr: self.buf.phys(), len: PIECE as u32, device_writes: true };
                // SAFETY: `buf` lives as long as the device is in use and is read only after `pop`.
                if unsafe { self.queue.add(&[segment], 0) }.is_err() {
                    break;
                }
                self.outstanding = true;
                self.queue.kick();
            }
            let Some((_, written)) = self.queue.pop() else {
                if self.queue.broken() || time::monotonic_ns() > deadline {
                    break;
                }
                core::hint::spin_loop();
                continue;
            };
            self.outstanding = false;
            let n = (written as usize).min(PIECE).min(out.len() - done);
            if n == 0 {
                break;
            }
            // SAFETY: `pop` returned the buffer.
            out[done..done + n].copy_from_slice(unsafe { self.buf.slice(0, n) });
            // SAFETY: as above; this output must not reveal the next one if the device fails to write.
            unsafe { self.buf.slice_mut(0, PIECE) }.fill(0);
            done += n;
        }
        done
    }
}
