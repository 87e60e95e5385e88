//! Virtual machine monitors: a [`Machine`] is described, and a [`Backend`] makes a VMM run it.

pub mod accel;
mod board;
mod machine;
pub mod process;
pub mod qemu;

pub use board::Board;
pub use machine::{Card, Disk, Forward, Machine, Network, Port, Share, Stream, USER_DNS, USER_IP, USER_IP6};

use anyhow::{Result, bail};
use std::process::{Child, Command};
use std::{io, os::unix::net::UnixStream};

/// Names of the back-ends, as `--vmm` takes them.
pub const NAMES: [&str; 1] = ["qemu"];

/// A VMM found on this computer.
pub trait Backend {
    /// Starts the machine with its streams on our sockets. It ends when the calling thread does, so call this from the
    /// main thread.
    fn start(&self, machine: &Machine) -> Result<Running>;

    /// A command line for starting the machine by hand. `terminal`: whether there is one to read from.
    fn by_hand(&self, machine: &Machine, terminal: bool) -> Command;
}

/// The VMM of this name.
pub fn find(name: &str) -> Result<Box<dyn Backend>> {
    match name {
        "qemu" => Ok(Box::new(qemu::Qemu::find()?)),
        _ => bail!("there is no back-end for {name}; there is {}", NAMES.join(", ")),
    }
}

/// The program that must be installed for the VMM of this name, unless the user named another.
pub fn needs(name: &str) -> Option<&'static str> {
    (name == "qemu" && !qemu::chosen_by_hand()).then_some(qemu::NAME)
}

/// A VMM that runs a machine.
pub struct Running<M = Box<dyn Monitor>> {
    /// The process; its standard error is piped.
    pub child: Child,
    /// Standard input and output of the program.
    pub stdio: UnixStream,
    /// Standard error of the program.
    pub stderr: UnixStream,
    /// The control protocol.
    pub control: UnixStream,
    /// The kernel log.
    pub log: UnixStream,
    /// The VMM itself.
    pub monitor: M,
    /// Called when the guest first sends something: then the VMM is ready.
    pub awake: Option<Box<dyn FnOnce() + Send>>,
}

/// Communication with the VMM itself. One that does not listen is about to end anyway, so nothing here fails.
pub trait Monitor: Send {
    /// Presses the power button.
    fn power_down(&mut self);

    /// Stops the machine, so that the state of its processors is current, and asks for that state.
    fn ask_processors(&mut self);

    /// Passes the answers to `told`, in a separate thread, until the VMM ends. A VMM may block until its output is
    /// read.
    fn listen(&self, told: Box<dyn FnMut(Vec<Processor>) + Send>) -> io::Result<()>;
}

/// The state of a processor of a stopped machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// Counted from 0.
    pub number: u32,
    /// Its instruction pointer.
    pub instruction: u64,
    /// Whether it takes interrupts.
    pub interrupts: bool,
    /// Whether it waits in `hlt`.
    pub halted: bool,
    /// The address of its interrupt descriptor table.
    pub idt: Option<u64>,
}
