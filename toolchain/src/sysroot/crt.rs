//! Startup code, linker script, and the empty root file system of images that have none.

use super::{Part, compiler};
use crate::fingerprint::Fingerprint;
use crate::wrapper::flags::{CODE_FLAGS, header_flags};
use crate::{command, wrapper};
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn build(project: &Path, cache: &Path, musl: &Part) -> Result<Part> {
    let shim = project.join("libc-shim");
    let mut print = Fingerprint::default();
    print.tree(&shim.join("crt"), true)?.tree(&shim.join("unibody.ld"), true)?;
    print.text(&musl.dir.to_string_lossy()).text(&compiler()?);
    Part::get(cache, "crt", &print.hex(), "building the startup code", |out| {
        let lib = out.join("lib");
        fs::create_dir(&lib)?;
        let (c, s) = (lib.join("start-c.o"), lib.join("start-s.o"));
        let compile = |source: &str, object: &Path| {
            let mut gcc = Command::new("gcc");
            gcc.args(header_flags(&musl.dir.join("include"))?).args(CODE_FLAGS);
            // It runs before the stack protector's canary exists.
            gcc.args(["-O2", "-fno-stack-protector", "-c"]).arg(shim.join("crt").join(source)).arg("-o").arg(object);
            command::run(&mut gcc, None).map(drop)
        };
        compile("start.c", &c)?;
        compile("start.S", &s)?;
        command::run(Command::new("ld").args(["-r", "-o"]).arg(lib.join("crt1.o")).args([&c, &s]), None)?;
        fs::remove_file(c)?;
        fs::remove_file(s)?;
        fs::copy(shim.join("unibody.ld"), lib.join("unibody.ld"))?;
        fs::copy(shim.join("crt/rootfs.S"), lib.join("rootfs.S"))?;
        wrapper::rootfs::object(&lib.join("rootfs.S"), None, &lib.join("rootfs.o"))
    })
}
