//! QEMU.

mod arguments;
mod backlog;
mod monitor;

use super::{Backend, Machine, Running, process};
use anyhow::{Result, bail};
use arguments::{Streams, arguments};
use backlog::Listeners;
use monitor::Monitor;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

/// The program's name.
pub const NAME: &str = "qemu-system-x86_64";
/// Names another program to start instead.
const VARIABLE: &str = "UNIBODY_QEMU";

/// Whether the user named the program to start.
pub fn chosen_by_hand() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|path| !path.is_empty())
}

/// QEMU, or a stand-in.
pub struct Qemu {
    pub program: PathBuf,
}

impl Qemu {
    /// Finds the program: `UNIBODY_QEMU`, else in `PATH`.
    pub fn find() -> Result<Self> {
        let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        match named.or_else(|| crate::command::find(NAME)) {
            Some(program) => Ok(Self { program }),
            None => bail!("{NAME} is not installed (not in PATH); {VARIABLE} can name it"),
        }
    }

    /// The arguments with which [`Qemu::spawn`] starts the machine.
    pub fn arguments(&self, machine: &Machine) -> Vec<OsString> {
        arguments(machine, Streams::Inherited)
    }

    /// Starts it with these arguments; the monitor speaks QMP.
    pub fn spawn(&self, args: &[OsString]) -> Result<Running<UnixStream>> {
        let (child, sockets) = process::spawn(&self.program, args, fd::ALL)?;
        let [stdio, stderr, control, log, monitor] = sockets;
        Ok(Running { child, stdio, stderr, control, log, monitor, awake: None })
    }
}

impl Backend for Qemu {
    fn start(&self, machine: &Machine) -> Result<Running> {
        let Running { child, stdio, stderr, control, log, monitor, .. } = self.spawn(&self.arguments(machine))?;
        let listeners = machine.card.as_ref().and_then(|card| Listeners::of(child.id(), &card.network));
        let awake: Option<Box<dyn FnOnce() + Send>> = match listeners {
            Some(listeners) => Some(Box::new(move || _ = listeners.widen())),
            None => None,
        };
        Ok(Running { child, stdio, stderr, control, log, monitor: Box::new(Monitor(monitor)), awake })
    }

    fn by_hand(&self, machine: &Machine, terminal: bool) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments(machine, Streams::ByHand { input: terminal }));
        command
    }
}

/// Numbers of the sockets that QEMU inherits.
mod fd {
    /// Standard input and output.
    pub const STDIO: i32 = 3;
    /// Standard error.
    pub const STDERR: i32 = 4;
    /// Control protocol.
    pub const CONTROL: i32 = 5;
    /// Kernel log.
    pub const SERIAL: i32 = 6;
    /// QEMU's own monitor.
    pub const QMP: i32 = 7;
    /// In the order of [`super::Running`]'s fields.
    pub const ALL: [i32; 5] = [STDIO, STDERR, CONTROL, SERIAL, QMP];
}
