//! `x86_64-unikernel-gcc` and its siblings: this program under another name, in the `bin` folder of a sysroot.

mod args;
pub mod components;
mod finish;
pub mod flags;
mod gcc;
mod libraries;
mod missing;
pub mod rootfs;

pub use components::WITHOUT;
pub use gcc::{DEBUG, ROOTFS};

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Prefix of all wrappers' names.
pub const PREFIX: &str = "x86_64-unikernel-";
/// What `-dumpmachine` prints. `config.sub` does not know `unikernel`.
pub const TRIPLE: &str = "x86_64-linux-musl";

/// Acts as the wrapper that this process was started as; `None` when it was started as `unibody`.
pub fn as_invoked() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let name = args.next()?;
    let name = Path::new(&name).file_name()?.to_str()?.to_owned();
    let tool = name.strip_prefix(PREFIX)?.to_owned();
    let args: Vec<OsString> = args.collect();
    let result = sysroot().and_then(|sysroot| match tool.as_str() {
        "gcc" | "cc" => gcc::run(&sysroot, &name, args, false),
        "g++" | "c++" => gcc::run(&sysroot, &name, args, true),
        "cpp" => gcc::run(&sysroot, &name, std::iter::once("-E".into()).chain(args).collect(), false),
        "pkg-config" => pkg_config(&sysroot, args),
        // gcc's own ar, nm and ranlib understand objects of -flto.
        "ar" | "nm" | "ranlib" if crate::command::find(&format!("gcc-{tool}")).is_some() => {
            replace(Command::new(format!("gcc-{tool}")).args(args))
        }
        "ar" | "nm" | "ranlib" | "ld" | "objcopy" | "strip" => replace(Command::new(&tool).args(args)),
        _ => Err(anyhow::anyhow!("there is no such tool")),
    });
    Some(result.unwrap_or_else(|error| {
        eprintln!("{name}: {error:#}");
        ExitCode::FAILURE
    }))
}

/// The sysroot that this program is in: links are followed.
fn sysroot() -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let root = exe.parent().and_then(Path::parent).filter(|r| r.join("lib/unibody.ld").is_file());
    root.map(Path::to_owned)
        .ok_or_else(|| anyhow::anyhow!("{} is not in a sysroot: make one with `unibody toolchain`", exe.display()))
}

/// Becomes another program.
fn replace(command: &mut Command) -> anyhow::Result<ExitCode> {
    let error = command.exec();
    Err(anyhow::anyhow!("cannot run {}: {error}", command.get_program().to_string_lossy()))
}

/// The host's libraries must not be found; those that `PKG_CONFIG_PATH` names are.
fn pkg_config(sysroot: &Path, args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_LIBDIR", sysroot.join("lib/pkgconfig")).env_remove("PKG_CONFIG_SYSROOT_DIR");
    replace(command.arg("--static").args(args))
}
