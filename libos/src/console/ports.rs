//! The program's streams and the control protocol on a virtio-console's ports.

use super::Control;
use crate::timer::wallclock;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use drivers::virtio::Device;
use drivers::virtio::console::{Console, PortId};
use libos_base::poll::{self, Events, Pollee};
use libos_base::sync::{IrqSpinLock, Once, WaitQueue, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, thread, time};
use libos_fs::console::Stream;
use unibody_proto::port;

static CONSOLE: IrqSpinLock<Option<Box<Console>>> = IrqSpinLock::new(class::CONSOLE, None);
/// Set by the interrupt; the console thread does the work.
static INTERRUPT: AtomicBool = AtomicBool::new(false);
static ARRIVED: WaitQueue = WaitQueue::new();
/// The control port, if it was there in time to be opened: one that turns up later accepts nothing.
static CONTROL: Once<PortId> = Once::new();
static STDIO: Pollee = Pollee::new();
static STDERR: Pollee = Pollee::new();
/// Bytes of standard input that the program has read, and how many there are in all.
static STDIN_READ: AtomicU64 = AtomicU64::new(0);
static STDIN_END: AtomicU64 = AtomicU64::new(u64::MAX);

/// How long boot waits for ports that nobody has promised.
const PATIENCE_NS: u64 = time::NS / 50;
/// How long it waits for the ports of a tool that said it listens.
const PROMISED_NS: u64 = 3 * time::NS;

/// Takes a console device. The first one is used.
pub fn add_device(device: Device) {
    if CONSOLE.lock().is_some() {
        return;
    }
    let on_irq = Arc::new(|_| wake());
    match Console::new(device, on_irq) {
        Ok(c) => *CONSOLE.lock() = Some(Box::new(c)),
        Err(e) => libos_base::warn!("virtio-console: {e}"),
    }
}

fn with<R>(f: impl FnOnce(&mut Console) -> R) -> Option<R> {
    CONSOLE.lock().as_deref_mut().map(f)
}

/// A stream on one port.
pub struct PortStream {
    id: PortId,
    input: bool,
    pollee: &'static Pollee,
}

/// Standard streams and control, if there is a console device: (stdin and stdout, stderr).
pub fn open<C: Control>(control: bool) -> Result<Option<(Arc<PortStream>, Arc<PortStream>)>> {
    let names = [port::STDIO.as_bytes(), port::STDERR.as_bytes(), port::CONTROL.as_bytes()];
    let wanted = if control { &names[..] } else { &names[..2] };
    let patience = if control { PROMISED_NS } else { PATIENCE_NS };
    let Some(found) = with(|c| {
        c.wait_for(wanted, patience);
        let stdio = c.port(names[0]).or_else(|| c.ports().next().map(|p| p.id()));
        let stderr = c.port(names[1]).or(stdio);
        let control = c.port(names[2]);
        for id in [stdio, stderr, control].into_iter().flatten() {
            c.open(id).map_err(|_| Errno::ENOMEM)?;
        }
        Ok::<_, Errno>(stdio.zip(stderr).map(|pair| (pair, control)))
    }) else {
        return Ok(None);
    };
    let Some(((stdio, stderr), listens)) = found? else { return Ok(None) };
    if let Some(id) = listens {
        CONTROL.set(|| id);
    }
    thread_start::<C>(listens, control)?;
    Ok(Some((
        Arc::new(PortStream { id: stdio, input: true, pollee: &STDIO }),
        Arc::new(PortStream { id: stderr, input: false, pollee: &STDERR }),
    )))
}

fn thread_start<C: Control>(control: Option<PortId>, promised: bool) -> Result<()> {
    if promised {
        wallclock::expect();
    }
    thread::spawn("console", move || {
        if control.is_some() {
            C::begin();
        }
        if promised {
            wallclock::ask();
        }
        let interrupts = with(|c| c.interrupts()).unwrap_or(false);
        let mut buf = [0; 128];
        loop {
            with(|c| c.poll());
            super::deliver_deferred();
            STDIO.notify(Events::IN | Events::OUT | Events::RDNORM | Events::WRNORM);
            STDERR.notify(Events::OUT | Events::WRNORM);
            super::tty::look();
            if let Some(id) = control {
                C::tell();
                while let Some(n @ 1..) = with(|c| c.read(id, &mut buf)) {
                    C::receive(&buf[..n]);
                }
            }
            let deadline = if interrupts { FOREVER } else { time::after(time::NS / 1000) };
            // Without interrupts, the time-out does the polling.
            let _ = ARRIVED.wait(deadline, false, || INTERRUPT.swap(false, Ordering::AcqRel).then_some(()));
        }
    })?;
    Ok(())
}

/// Wakes the console thread to look for work.
pub fn wake() {
    INTERRUPT.store(true, Ordering::Release);
    ARRIVED.wake_all();
}

/// Sets the length of standard input, as the host gave it.
pub fn end_stdin_after(total: u64) {
    STDIN_END.store(total, Ordering::Release);
    STDIO.notify(Events::IN | Events::RDNORM);
}

/// Why standard output and error can no longer be written; 0: they can.
static FAILED: [AtomicU8; 2] = [AtomicU8::new(0), AtomicU8::new(0)];

/// Records that the host cannot deliver what is written to standard output (1) or error (2).
pub fn output_failed(stream: u8, errno: u8) {
    let pollee = if stream == 1 { &STDIO } else { &STDERR };
    FAILED[usize::from(stream != 1)].store(errno, Ordering::Release);
    pollee.notify(Events::OUT | Events::WRNORM | Events::ERR);
}

fn at_end() -> bool {
    STDIN_READ.load(Ordering::Acquire) >= STDIN_END.load(Ordering::Acquire)
}

/// Writes all of `bytes` to the control port, waiting up to a second for room. Does nothing without a port.
pub fn write_control(bytes: &[u8]) {
    let Some(&id) = CONTROL.get() else { return };
    let deadline = time::after(time::NS);
    let mut rest = bytes;
    while !rest.is_empty() && time::monotonic_ns() < deadline {
        match with(|c| c.write(id, rest)) {
            Some(0) => {
                thread::park(time::after(time::NS / 1000), false);
            }
            Some(n) => rest = &rest[n..],
            None => return,
        }
    }
}

/// The same from a crash report: spins, and takes the device by force.
pub fn write_control_polled(bytes: &[u8]) {
    const LOOKS: u32 = 10_000_000;
    let Some(&id) = CONTROL.get() else { return };
    // SAFETY: the other CPUs have stopped, so whatever held the lock never continues.
    unsafe { CONSOLE.force_unlock() };
    settle();
    with(|c| c.write_polled(id, bytes, LOOKS));
}

/// Notifies the device of what it was not told of at once.
pub fn settle() {
    with(Console::notify);
}

/// Waits until the host has taken everything, or until `deadline`.
pub fn drain(deadline: u64) {
    settle();
    loop {
        let handed_over = super::tty::look();
        let done = with(|c| {
            let mut all = true;
            for name in [port::STDIO, port::STDERR, port::CONTROL] {
                all &= c.port(name.as_bytes()).is_none_or(|id| c.drained(id));
            }
            all && handed_over
        });
        if done != Some(false) || time::monotonic_ns() >= deadline {
            return;
        }
        thread::park(time::after(time::NS / 10_000), false);
    }
}

impl PortStream {
    /// The error of writes, once the host has reported one. Numbers are Linux's (asm-generic/errno-base.h).
    fn failed(&self) -> Result<()> {
        match FAILED[usize::from(!self.input)].load(Ordering::Acquire) {
            0 => Ok(()),
            28 => Err(Errno::ENOSPC),
            32 => Err(Errno::EPIPE),
            _ => Err(Errno::EIO),
        }
    }
}

impl Stream for PortStream {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        if !self.input || at_end() {
            return Ok(0);
        }
        match with(|c| c.read(self.id, buf)) {
            None | Some(0) => Err(Errno::EAGAIN),
            Some(n) => {
                STDIN_READ.fetch_add(n as u64, Ordering::AcqRel);
                Ok(n)
            }
        }
    }

    fn write(&self, buf: &[u8]) -> Result<usize> {
        self.failed()?;
        let wrote = match poll::holds() {
            true => with(|c| c.write_unnotified(self.id, buf)),
            false => with(|c| c.write(self.id, buf)),
        };
        wrote.filter(|&n| n > 0).ok_or(Errno::EAGAIN)
    }

    fn ready(&self) -> Events {
        let mut e = Events::empty();
        if self.input && at_end() {
            e |= Events::IN | Events::HUP;
        }
        match self.failed() {
            // Like the writing end of a pipe without readers.
            Err(Errno::EPIPE) => e |= Events::OUT | Events::ERR,
            Err(_) => e |= Events::OUT,
            Ok(()) => {}
        }
        with(|c| {
            if let Some(p) = c.get(self.id) {
                if self.input && p.readable() {
                    e |= Events::IN;
                }
                if p.writable() {
                    e |= Events::OUT;
                }
            }
        });
        e
    }

    fn pollee(&self) -> &Pollee {
        self.pollee
    }
}
