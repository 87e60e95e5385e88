//! The compiler driver: host gcc, musl's headers, and at link time everything that an image needs.

use super::args::{Action, Arg, Args, parse};
use super::flags::{CODE_FLAGS, header_flags};
use super::{TRIPLE, components, libraries, missing, replace, rootfs};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The host folder that becomes the image's root file system.
pub const ROOTFS: &str = "UNIBODY_ROOTFS";
/// `1`: link the kernel that checks itself.
pub const DEBUG: &str = "UNIBODY_DEBUG";

pub fn run(sysroot: &Path, name: &str, args: Vec<OsString>, cxx: bool) -> Result<ExitCode> {
    let host = if cxx { "g++" } else { "gcc" };
    let args = parse(args);
    if let Some(reason) = &args.refused {
        bail!("{reason}");
    }
    match args.action {
        Action::Ask => ask(sysroot, host, &args),
        Action::Compile | Action::Relocatable => replace(&mut compiler(sysroot, host, &args)?),
        Action::Link if cxx => bail!(
            "C++ programs cannot be linked yet: there is no C++ runtime library for musl in the sysroot. \
             Compiling works (-c), and so does linking objects that use no C++ runtime with {}",
            name.replace("g++", "gcc").replace("c++", "gcc")
        ),
        Action::Link => link(sysroot, name, host, &args),
    }
}

/// gcc with our headers and code flags, and the user's arguments and output. The user's flags come later and win.
fn compiler(sysroot: &Path, host: &str, args: &Args) -> Result<Command> {
    let mut gcc = Command::new(host);
    gcc.args(CODE_FLAGS).arg("-fstack-protector-strong");
    gcc.args(args.rest.iter().filter_map(|a| match a {
        Arg::Plain(a) => Some(a.clone()),
        // Compiling needs no libraries.
        Arg::Library(_) => None,
    }));
    if args.action == Action::Relocatable {
        gcc.arg("-nostdlib");
    }
    if let Some(output) = &args.output {
        gcc.arg("-o").arg(output);
    }
    if host == "g++" {
        gcc.arg("-nostdinc++");
    }
    gcc.args(header_flags(&sysroot.join("include"))?);
    Ok(gcc)
}

fn link(sysroot: &Path, name: &str, host: &str, args: &Args) -> Result<ExitCode> {
    let lib = sysroot.join("lib");
    let inputs = libraries::resolve(sysroot, args)?;
    let work = tempfile::tempdir()?;
    let mut gcc = Command::new(host);
    gcc.args(CODE_FLAGS).arg("-fstack-protector-strong");
    gcc.args(header_flags(&sysroot.join("include"))?);
    gcc.args(["-nostdlib", "-static-pie"]);
    if !args.no_start {
        gcc.arg("-T").arg(lib.join("unibody.ld")).arg(lib.join("crt1.o"));
        gcc.arg(match std::env::var_os(ROOTFS).filter(|_| !is_probe(args)) {
            Some(root) => {
                let object = work.path().join("rootfs.o");
                rootfs::object(&lib.join("rootfs.S"), Some(Path::new(&root)), &object)?;
                object
            }
            None => lib.join("rootfs.o"),
        });
    }
    gcc.args(components::absent(sysroot)?);
    gcc.arg(
        "-Wl,-z,noexecstack,-z,relro,-z,now,-z,max-page-size=4096,-z,pack-relative-relocs,--gc-sections,--build-id=sha1,--no-warn-rwx-segments",
    );
    gcc.args(inputs);
    for folder in &args.folders {
        gcc.arg("-L").arg(folder);
    }
    if !args.no_libraries {
        let debug = std::env::var_os(DEBUG).is_some_and(|v| v == "1");
        let kernel = lib.join(if debug { "debug/libunibody.a" } else { "libunibody.a" });
        gcc.args(["-x", "none", "-Wl,--start-group"])
            .arg(lib.join("libc.a"))
            .arg("-lgcc")
            .arg(lib.join("libmimalloc.a"));
        gcc.arg(kernel).arg("-Wl,--end-group");
    }
    let image = args.output.clone().unwrap_or_else(|| "a.out".into());
    gcc.arg("-o").arg(&image);
    // The linker's messages are parsed below.
    gcc.env("LC_ALL", "C").stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::piped());
    let output = gcc
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|e| anyhow::anyhow!("cannot run {host}: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        eprint!("{said}");
        // A configure probe may link to /dev/null.
        if !args.no_start && Path::new(&image).is_file() {
            let bytes = super::finish::finish(Path::new(&image))?;
            if let Err(fault) = loader::check(&bytes) {
                bail!("{} could not be started everywhere: {fault}", image.to_string_lossy());
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (missing, rest) = missing::split(&said);
    eprint!("{rest}");
    if !missing.is_empty() {
        eprintln!("{name}: {}", missing::describe(&missing));
    }
    Ok(ExitCode::FAILURE)
}

/// autoconf's probes need no root file system.
fn is_probe(args: &Args) -> bool {
    let output = args.output.as_ref().map(|o| o.to_string_lossy().into_owned()).unwrap_or_default();
    output.rsplit('/').next().is_some_and(|n| n.starts_with("conftest"))
}

/// Queries: we answer those about the target, the host compiler the rest.
fn ask(sysroot: &Path, host: &str, args: &Args) -> Result<ExitCode> {
    for arg in &args.rest {
        let Arg::Plain(arg) = arg else { continue };
        let arg = arg.to_string_lossy();
        match &*arg {
            "-dumpmachine" | "-print-multiarch" => println!("{TRIPLE}"),
            "-print-sysroot" => println!("{}", sysroot.display()),
            a => {
                match a.strip_prefix("-print-file-name=").map(|f| sysroot.join("lib").join(f)).filter(|p| p.exists()) {
                    Some(path) => println!("{}", path.display()),
                    None => continue,
                }
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let plain = args.rest.iter().filter_map(|a| if let Arg::Plain(a) = a { Some(a) } else { None });
    replace(Command::new(host).args(plain))
}
