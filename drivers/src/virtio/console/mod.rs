//! virtio-console (virtio 1.2, 5.3): one port, or several that are found by name (F_MULTIPORT).
//!
//! Everything here is non-blocking and expects one caller at a time (the kernel's lock). The callback given to
//! [`Console::new`] runs in interrupt context and only wakes the thread that then calls [`Console::poll`] and checks
//! the ports. [`Console::poll`] and [`Console::open`] may allocate; the other calls do not.

mod control;
mod port;
mod slots;

pub use port::Port;

use super::feature::{ANY_LAYOUT, VERSION_1};
use super::find::{Connected, Device};
use super::transport::Cause;
use alloc::sync::Arc;
use alloc::vec::Vec;
use control::{Control, Event};
use libos_base::memory::with_room;
use libos_base::time;
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error, Result};

/// Feature bit: there may be several ports.
const MULTIPORT: u64 = 1 << 1;
/// `max_nr_ports` in config space (virtio 1.2, 5.3.4).
const MAX_PORTS_OFFSET: usize = 4;
/// Ports with numbers from here on are declined. Each costs two rings even when unused.
const MAX_PORTS: u32 = 8;

/// Number of a port on its device.
pub type PortId = u32;

/// A console device.
pub struct Console {
    /// Before the buffers, because it stops using them when it is dropped.
    _device: Device,
    irq: Connected,
    /// By number; a port that the device never announced is not `present`.
    ports: Vec<Port>,
    control: Option<Control>,
}

impl Console {
    /// Takes a device of id [`super::id::CONSOLE`] into use. With several ports they appear in [`Self::poll`]; a device
    /// with one port has it, open and unnamed, as port 0 at once.
    pub fn new(mut device: Device, on_irq: Arc<dyn Fn(Cause) + Send + Sync>) -> Result<Self> {
        let agreed = device.transport.negotiate(VERSION_1 | ANY_LAYOUT | MULTIPORT)?;
        let multiport = agreed & MULTIPORT != 0;
        let count = if multiport { device.transport.config_u32(MAX_PORTS_OFFSET)?.clamp(1, MAX_PORTS) } else { 1 };
        let irq = device.connect(on_irq);
        let mut ports = with_room(count as usize).map_err(|_| Error::DmaError)?;
        for n in 0..count {
            ports.push(Port::new(&mut device, irq, n).ok_or(Error::DmaError)?);
        }
        let mut control = None;
        if multiport {
            control = Some(Control::new(&mut device, irq).ok_or(Error::DmaError)?);
        }
        device.transport.finish_init();
        let mut c = Self { _device: device, irq, ports, control };
        match &mut c.control {
            Some(control) => control.start(),
            None => c.ports[0].single()?,
        }
        Ok(c)
    }

    /// Whether interrupts arrive; if not, the kernel must poll.
    pub fn interrupts(&self) -> bool {
        self.irq != Connected::Polled
    }

    /// Handles what the device said about its ports. Returns whether there was anything.
    pub fn poll(&mut self) -> bool {
        let Some(control) = &mut self.control else { return false };
        let mut any = false;
        while let Some(event) = control.next() {
            any = true;
            let id = event.port();
            let Some(port) = self.ports.get_mut(id as usize) else {
                if matches!(event, Event::Add(_)) {
                    // More ports than this driver keeps: declined, as 5.3.6.2 provides.
                    control.send(id, control::PORT_READY, 0);
                }
                continue;
            };
            match event {
                Event::Add(_) => {
                    port.present = true;
                    control.send(id, control::PORT_READY, 1);
                }
                Event::Remove(_) => {
                    port.present = false;
                    port.host_open = false;
                }
                Event::Open(_, open) => port.host_open = open,
                Event::Name(_, name) => port.set_name(name.bytes()),
            }
        }
        control.done();
        any
    }

    /// The ports that the device has.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|p| p.present)
    }

    /// The port of that name.
    pub fn port(&self, name: &[u8]) -> Option<PortId> {
        self.ports().find(|p| p.name() == name).map(Port::id)
    }

    /// A port by number.
    pub fn get(&self, id: PortId) -> Option<&Port> {
        self.ports.get(id as usize).filter(|p| p.present)
    }

    /// Polls until all of `names` are there and open on the host's side, or `patience_ns` passed. Returns whether they
    /// are.
    pub fn wait_for(&mut self, names: &[&[u8]], patience_ns: u64) -> bool {
        let deadline = time::after(patience_ns);
        loop {
            self.poll();
            if names.iter().all(|n| self.ports().any(|p| p.name() == *n && p.host_open)) {
                return true;
            }
            if self.control.is_none() || time::monotonic_ns() > deadline {
                return false;
            }
            core::hint::spin_loop();
        }
    }

    /// Opens a port from our side: allocates its buffers, and the host may send. Opening twice is fine.
    pub fn open(&mut self, id: PortId) -> Result<()> {
        let port = self.ports.get_mut(id as usize).filter(|p| p.present).ok_or(Error::InvalidParam)?;
        if port.prepare()?
            && let Some(control) = &mut self.control
        {
            control.send(id, control::PORT_OPEN, 1);
        }
        Ok(())
    }

    /// Takes as much of `bytes` as there is room for, and sends it. If that is not all, an interrupt comes when there
    /// is room. 0 for a port that is not open.
    pub fn write(&mut self, id: PortId, bytes: &[u8]) -> usize {
        let done = self.write_unnotified(id, bytes);
        self.notify();
        done
    }

    /// [`Self::write`] of something that may wait for [`Self::notify`]. If not all of it fits, it does not wait.
    pub fn write_unnotified(&mut self, id: PortId, bytes: &[u8]) -> usize {
        self.ports.get_mut(id as usize).map_or(0, |p| p.write(bytes))
    }

    /// Notifies the device of what was written, if it has to be.
    pub fn notify(&mut self) {
        self.ports.iter_mut().for_each(Port::notify);
    }

    /// Copies out what arrived; 0: nothing at the moment.
    pub fn read(&mut self, id: PortId, buf: &mut [u8]) -> usize {
        self.ports.get_mut(id as usize).map_or(0, |p| p.read(buf))
    }

    /// Whether the device has taken everything written. If not, an interrupt comes when it has.
    pub fn drained(&mut self, id: PortId) -> bool {
        self.ports.get_mut(id as usize).is_none_or(Port::drained)
    }

    /// For the crash path: sends and waits for the device by spinning, at most `patience` checks per piece; needs
    /// neither allocation nor interrupts. Returns how many bytes were sent.
    pub fn write_polled(&mut self, id: PortId, bytes: &[u8], patience: u32) -> usize {
        self.ports.get_mut(id as usize).map_or(0, |p| p.write_polled(bytes, patience))
    }
}
