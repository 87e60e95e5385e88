//! Starting the VMM with its streams on inherited sockets: nobody else can connect to them, no path is too long, and no
//! byte is lost between the VMM's start and a connection.

use super::qemu::fd;
use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A started VMM and our ends of its streams.
pub struct Vmm {
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
    /// QEMU's monitor.
    pub qmp: UnixStream,
}

/// Starts it. It ends when the calling thread does, so call this from the main thread.
pub fn spawn(program: &Path, args: &[OsString]) -> Result<Vmm> {
    let mut mappings = Vec::new();
    let mut pair = |child_fd: i32| -> std::io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        mappings.push(FdMapping { parent_fd: OwnedFd::from(theirs), child_fd });
        Ok(ours)
    };
    let [stdio, stderr, control, log, qmp] =
        [pair(fd::STDIO)?, pair(fd::STDERR)?, pair(fd::CONTROL)?, pair(fd::SERIAL)?, pair(fd::QMP)?];
    let mut command = Command::new(program);
    // Its own process group: Ctrl-C is for us, who turn it into a signal for the program inside.
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    command.fd_mappings(mappings).context("two streams on one descriptor")?;
    let us = nix::unistd::getpid();
    let die_with_us = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        // We may have died before it was asked for.
        if nix::unistd::getppid() == us { Ok(()) } else { Err(std::io::ErrorKind::Interrupted.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(die_with_us) };
    let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    Ok(Vmm { child, stdio, stderr, control, log, qmp })
}
