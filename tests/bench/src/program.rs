//! A program of our own in one C file, for both guests, and for this computer.

use crate::Bench;
use crate::linux::{self, Contents, LinuxGuest};
use crate::report::Report;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use unibody::{apt, command, paths, sysroot, wrapper};

/// Where it is.
pub struct Program {
    /// Our image.
    pub image: PathBuf,
    /// Compiled by this computer's gcc: for the Linux guest, and to be run here.
    pub native: PathBuf,
}

/// Options of both compilers.
const FLAGS: [&str; 4] = ["-O2", "-g", "-Wall", "-pthread"];

/// Compiles `tests/bench/NAME.c` into a folder, for everyone.
pub fn build(name: &str, sysroot: &Path, to: &Path) -> Result<Program> {
    let image = to.join(format!("{name}.img"));
    compile(&sysroot.join("bin").join(format!("{}gcc", wrapper::PREFIX)), name, &image)?;
    Ok(Program { image, native: native(name, to)? })
}

/// The same for this computer alone.
pub fn native(name: &str, to: &Path) -> Result<PathBuf> {
    let program = to.join(name);
    compile(Path::new("gcc"), name, &program)?;
    Ok(program)
}

fn compile(gcc: &Path, name: &str, to: &Path) -> Result<()> {
    let source = paths::project(None)?.join("tests/bench").join(name).with_extension("c");
    let mut compile = Command::new(gcc);
    compile.args(FLAGS).arg("-o").arg(to).arg(&source);
    // Parameters and files come in the initrd.
    command::run(compile.env_remove(wrapper::ROOTFS).env(wrapper::DEBUG, "0"), None)
        .with_context(|| format!("cannot compile {}", source.display()))?;
    Ok(())
}

/// The Linux guest that runs it, with the distribution's C library, if one is to be compared with.
pub fn linux_guest(
    options: &Bench,
    program: &Program,
    modules: &[&str],
    work: &Path,
    report: &mut Report,
) -> Result<Option<LinuxGuest>> {
    if options.against.is_none() {
        return Ok(None);
    }
    let (library, version) = apt::binary("libc6")?;
    let guest = linux::guest(&Contents {
        project: &paths::project(None)?,
        program: &program.native,
        place: linux::PROGRAM,
        libraries: &[library],
        files: None,
        modules,
        work,
    })?;
    report.versions.extend([guest.kernel.version.clone(), format!("libc6 {version}")]);
    Ok(Some(guest))
}

/// The sysroot that our images are linked with.
pub fn sysroot(yes: bool) -> Result<PathBuf> {
    sysroot::ensure(&sysroot::Options { yes, ..sysroot::Options::default() })
}
