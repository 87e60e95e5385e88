//! What the threads of a run report to its [`super::supervisor`].

use super::terminal::Key;
use crate::state::client::Request;
use crate::vmm::Processor;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;

/// What can happen.
pub enum Event {
    /// This process got a signal.
    Signal(i32),
    /// A key that matters to the tool, too.
    Key(Key),
    /// The guest sent a line.
    Guest(Vec<u8>),
    /// The control port was closed.
    ControlClosed,
    /// The machine was stopped: what its processors are doing.
    Stopped(Vec<Processor>),
    /// All output has been passed on.
    Delivered,
    /// The VMM ended.
    VmmEnded(std::io::Result<ExitStatus>),
    /// A request from another command.
    Request(Request, UnixStream),
}
