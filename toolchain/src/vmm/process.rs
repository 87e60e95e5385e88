//! VMMs as processes: started with their streams on inherited sockets, so that no other process can connect to them, no
//! path is too long, and no byte is lost between the VMM's start and a connection.

use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts a program that inherits sockets with these numbers; the other ends are ours. It ends when the calling thread does.
pub fn spawn<const N: usize>(program: &Path, args: &[OsString], fds: [i32; N]) -> Result<(Child, [UnixStream; N])> {
    let mut mappings = Vec::new();
    let mut ours = Vec::new();
    for child_fd in fds {
        let (one, other) = UnixStream::pair()?;
        mappings.push(FdMapping { parent_fd: OwnedFd::from(other), child_fd });
        ours.push(one);
    }
    let mut command = Command::new(program);
    // Its own process group: Ctrl-C is for us, and we turn it into a signal for the program inside.
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    command.fd_mappings(mappings).context("two streams on one descriptor")?;
    let us = nix::unistd::getpid();
    let die_with_us = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // We may have died before that took effect.
        if nix::unistd::getppid() == us { Ok(()) } else { Err(std::io::ErrorKind::Interrupted.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(die_with_us) };
    let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let ours = ours.try_into().ok().context("one socket a descriptor")?;
    Ok((child, ours))
}

/// Kills a VMM that was not yet waited for, by its process number.
pub fn end(number: u32) {
    // The whole group, since the program that the user named may have started the VMM as a child.
    let _ = killpg(Pid::from_raw(number as i32), Signal::SIGKILL);
}
