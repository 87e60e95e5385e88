//! `run --hosted`: the same image as a Linux process. Its own root is unpacked into a private folder, entered in a
//! mount namespace (and a user namespace if the user is not root), and removed when the program has ended.

pub mod enter;
pub mod unpack;

use crate::image::Image;
use crate::run::options::RunArgs;
use crate::run::share;
use crate::run::{env, initrd};
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use unibody_proto::FOLDERS;
use unibody_proto::params::key;

/// Runs the image as a Linux process; returns the program's exit status.
pub fn run(args: &RunArgs, image: &Image) -> Result<u8> {
    share::check(&args.volume)?;
    let root = tempfile::Builder::new().prefix("unibody-root-").tempdir().context("cannot make a private folder")?;
    let given = env::collect(&args.env_file, &args.env)?;
    fill(root.path(), args, image, &given)?;
    for (_, share) in share::in_order(&args.volume) {
        share::mount_point(root.path(), share.at.as_ref())?;
    }
    let mut env = image.default_list(key::ENV)?;
    env.extend(given);
    let arguments = match image.default_list(key::TOOL_HOSTED_ARG)? {
        _ if !args.args.is_empty() => args.args.clone(),
        own if !own.is_empty() => own.into_iter().map(OsString::from_vec).collect(),
        _ => image.default_list(key::ARG)?.into_iter().map(OsString::from_vec).collect(),
    };
    let last = |key| -> Result<_> { Ok(image.default_list(key)?.pop().map(OsString::from_vec)) };
    let argv0 = last(key::ARGV0)?.unwrap_or_else(|| args.image.clone().into());
    let cwd = match &args.workdir {
        Some(dir) => dir.clone().into(),
        None => last(key::CWD)?.unwrap_or_else(|| "/".into()),
    };

    let mut command = Command::new(std::env::current_exe()?);
    command.arg(enter::COMMAND).arg(root.path()).arg(&image.path).arg(cwd).arg(args.volume.len().to_string());
    for (_, share) in share::in_order(&args.volume) {
        command.arg(&share.dir).arg(&share.at).arg(if share.read_only { "ro" } else { "rw" });
    }
    command.arg(args.ulimit.len().to_string()).args(&args.ulimit);
    command.arg(argv0).args(arguments).env_clear();
    for entry in &env {
        let at = entry.iter().position(|&b| b == b'=').unwrap_or(entry.len());
        command.env(OsStr::from_bytes(&entry[..at]), OsStr::from_bytes(entry.get(at + 1..).unwrap_or_default()));
    }
    let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH];
    let mut signals = SignalsInfo::<WithOrigin>::new(signals).context("cannot handle signals")?;
    if !reopens(1) {
        command.stdout(Stdio::piped());
    }
    if !reopens(2) {
        command.stderr(Stdio::piped());
    }
    let mut child = command.spawn().context("cannot start the program")?;
    let pumps = [
        child.stdout.take().map(|from| carry(from, std::io::stdout())),
        child.stderr.take().map(|from| carry(from, std::io::stderr())),
    ];
    let pid = Pid::from_raw(child.id() as i32);
    std::thread::spawn(move || {
        for origin in signals.forever() {
            // Signals that the terminal sends reach the program directly.
            if origin.process.is_some()
                && let Ok(signal) = Signal::try_from(origin.signal)
            {
                let _ = kill(pid, signal);
            }
        }
    });
    let status = child.wait()?;
    for pump in pumps.into_iter().flatten() {
        let _ = pump.join();
    }
    root.close().context("cannot remove the private folder")?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, signal) => signal.unwrap_or(0) as u8 | 128,
    })
}

/// Whether the program can open /dev/stdout or /dev/stderr. It cannot if that is a socket, or a pipe of another user
/// (`su`); in a VM it always can. In those cases it gets a pipe of its own.
fn reopens(descriptor: i32) -> bool {
    std::fs::OpenOptions::new().append(true).open(format!("/proc/self/fd/{descriptor}")).is_ok()
}

/// Copies everything from the program to our own descriptor.
fn carry(mut from: impl Read + Send + 'static, to: impl AsFd) -> JoinHandle<()> {
    let to = to.as_fd().try_clone_to_owned().map(File::from);
    std::thread::spawn(move || {
        // If the reader went away, dropping `from` tells the program, as the reader's own closing would have.
        if let Ok(mut to) = to {
            let _ = std::io::copy(&mut from, &mut to);
        }
    })
}

/// Unpacks the image's root and what is laid over it, and adds what every root has.
fn fill(root: &Path, args: &RunArgs, image: &Image, env: &[Vec<u8>]) -> Result<()> {
    let unpack = |archive: &[u8]| {
        unpack::unpack(archive, root).with_context(|| format!("{}: unpacking its root", image.path.display()))
    };
    unpack(image.root()?)?;
    let mut overlay = Vec::new();
    initrd::overlay(args, image, env)?.write(&mut overlay)?;
    unpack(&overlay)?;
    for (dir, mode) in FOLDERS.iter().chain(&[("/dev/shm", 0o1777)]) {
        let path = root.join(&dir[1..]);
        if !path.is_dir() {
            std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(*mode))?;
        }
    }
    // The network is this machine's, so its host names and resolvers are used, too, unless the image has its own.
    for file in ["hosts", "resolv.conf", "services", "protocols", "passwd", "group", "localtime"] {
        let target = root.join("etc").join(file);
        if target.symlink_metadata().is_err()
            && let Ok(bytes) = std::fs::read(Path::new("/etc").join(file))
        {
            std::fs::write(target, bytes)?;
        }
    }
    Ok(())
}
