//! virtio-blk (virtio 1.2, 5.2): a queue for each processor where the device has that many, many requests in flight in
//! each, neighbours merged, one notification per batch, and completion by interrupt.

mod chain;
mod config;
mod ring;
#[cfg(test)]
mod tests;
mod unaligned;

pub use config::{Info, Options};

use super::find::{Connected, Device};
use super::queue::Queue;
use super::transport::Cause;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use chain::{Cutter, Limits};
use libos_base::Errno;
use libos_base::block::{BlockDevice, Completion, Op, Request};
use libos_base::memory::with_room;
use libos_base::sync::{IrqSpinLock, Mutex, Once, class};
use ring::Ring;
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error, Result};

/// A disk.
pub struct Blk {
    core: Arc<Core>,
    /// What was negotiated.
    pub info: Info,
    limits: Limits,
    name: String,
    serial: String,
    cpu: fn() -> usize,
    /// Only one thread at a time reads, changes and writes a block.
    changing: Mutex<()>,
}

/// What interrupts need. It lives forever: handlers are never removed.
struct Core {
    rings: Once<Vec<Ring>>,
    device: Once<IrqSpinLock<Device>>,
}

impl Core {
    fn rings(&self) -> &[Ring] {
        self.rings.get().map_or(&[], Vec::as_slice)
    }

    /// Usually called in interrupt context.
    fn reap(&self) {
        if !self.rings().iter().fold(true, |sound, r| r.reap() & sound) {
            self.stop();
        }
    }

    /// Gives up on the device: all current and future requests fail.
    fn stop(&self) {
        self.rings().iter().for_each(Ring::close);
        let stopped = self.device.get().is_none_or(|d| d.lock().transport.reset().is_ok());
        self.rings().iter().for_each(|r| r.fail(stopped));
    }
}

impl Blk {
    /// Takes a device of id [`super::id::BLOCK`] into use, as `/dev/name`. Must be called by a thread that can wait.
    pub fn new(mut device: Device, name: &str, options: &Options) -> Result<Arc<Self>> {
        let core = Arc::new(Core { rings: Once::new(), device: Once::new() });
        let (info, rings, limits) = Self::bring_up(&mut device, &core, options)?;
        core.rings.set(|| rings);
        device.transport.finish_init();
        core.device.set(|| IrqSpinLock::new(class::DISK_DEVICE, device));
        core.rings().iter().for_each(Ring::start);
        let serial = core.rings().first().and_then(|r| r.id().ok()).map(|id| text(&id)).unwrap_or_default();
        if info.unsafe_cache && !info.read_only {
            libos_base::warn!("{name}: the disk has no flush command: what is written may be lost if the host fails");
        }
        let (name, changing) = (String::from(name), Mutex::new(class::DISK_GEOMETRY, ()));
        Ok(Arc::new(Self { core, info, limits, name, serial, cpu: options.cpu, changing }))
    }

    fn bring_up(device: &mut Device, core: &Arc<Core>, options: &Options) -> Result<(Info, Vec<Ring>, Limits)> {
        let agreed = device.transport.negotiate(config::WANTED)?;
        let info = Info::read(&device.transport, agreed)?;
        let on_irq = {
            let core = core.clone();
            Arc::new(move |cause: Cause| {
                if cause.contains(Cause::QUEUE) {
                    core.reap();
                }
            })
        };
        let irq = device.connect(on_irq);
        if irq == Connected::Polled {
            libos_base::warn!("virtio-blk: no interrupt reaches the device");
            return Err(Error::Unsupported);
        }
        let event_idx = agreed & super::feature::EVENT_IDX != 0;
        let count = info.queues.min(options.queues).max(1);
        let mut rings = with_room(count.into()).map_err(|_| Error::DmaError)?;
        let mut size = u16::MAX;
        for n in 0..count {
            if irq == Connected::Msix && !device.assign_queue(irq, n) {
                return Err(Error::Unsupported);
            }
            let queue = Queue::new(&mut device.transport, n, options.entries, event_idx);
            let ring = queue.and_then(|q| {
                size = size.min(q.size());
                Ring::new(q)
            });
            match ring {
                Some(r) => rings.push(r),
                // One is enough; the device must not know of a queue whose ring is gone.
                None => return Err(Error::DmaError),
            }
        }
        let limits = Limits::new(&info, size);
        Ok((info, rings, limits))
    }

    fn ring(&self) -> Option<&Ring> {
        let rings = self.core.rings();
        rings.get((self.cpu)() % rings.len().max(1))
    }

    fn kick(&self, ring: &Ring, batch: u16) {
        if ring.kick(batch) {
            self.core.reap();
        }
    }

    /// Why the request cannot be sent to the device, or the result if there is nothing to do.
    fn refused(&self, r: &Request) -> Option<libos_base::Result<()>> {
        if !r.valid(self.info.sectors) {
            return Some(Err(Errno::EIO));
        }
        match r.op {
            Op::Write | Op::Discard if self.info.read_only => Some(Err(Errno::EROFS)),
            Op::Discard if !self.has_discard() => Some(Err(Errno::EOPNOTSUPP)),
            Op::Flush if !self.info.flush => Some(Ok(())),
            _ => None,
        }
    }
}

/// What the device reports about itself, up to the first NUL; only printable characters.
fn text(id: &[u8]) -> String {
    let end = id.iter().position(|&b| b == 0).unwrap_or(id.len());
    id[..end].iter().filter(|b| b.is_ascii_graphic() || **b == b' ').map(|&b| char::from(b)).collect()
}

impl BlockDevice for Blk {
    fn name(&self) -> &str {
        &self.name
    }
    fn sectors(&self) -> u64 {
        self.info.sectors
    }
    fn read_only(&self) -> bool {
        self.info.read_only
    }
    fn has_flush(&self) -> bool {
        self.info.flush
    }
    fn has_discard(&self) -> bool {
        self.info.discard != 0
    }
    fn block_size(&self) -> u32 {
        self.info.block_size
    }
    fn serial(&self) -> &str {
        &self.serial
    }

    fn submit(&self, requests: Vec<Request>, done: &Arc<Completion>) {
        // Counts as one until everything is in flight, so that `done` is not idle in between.
        done.add(1);
        let mut all = Ok(());
        if let Some(ring) = self.ring() {
            let mut added = 0u16;
            let mut cutter = Cutter::new(&self.limits, |chain| {
                ring.add(chain, done);
                added = added.saturating_add(1);
            });
            for r in &requests {
                let result = match self.refused(r) {
                    Some(answer) => answer,
                    None if r.op == Op::Discard || self.info.aligned(r.sector, r.sectors) => cutter.add(r),
                    None => {
                        cutter.finish();
                        self.unaligned(ring, r)
                    }
                };
                all = all.and(result);
            }
            cutter.finish();
            self.kick(ring, added);
        } else {
            all = Err(Errno::EIO);
        }
        done.done(all);
    }
}
