//! `unibody run`.

use super::resolve;
use crate::failure::usage;
use crate::image::Image;
use crate::output;
use crate::run::options::RunArgs;
use crate::run::{detach, prepare, start, terminal};
use crate::{command, hosted, packages, state, vmm};
use anyhow::Result;
use std::io::{IsTerminal, Write};

/// Start an image, or a port, which is built first if necessary
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    unibody run nginx -p 8080:80 -v ./site:/usr/share/nginx/html:ro\n  \
    unibody run nginx:lean -d --name web --rootfs ./site -- -c /etc/nginx/mine.conf\n  \
    unibody run ./hello.img --machine microvm -m 16M -e GREETING='good day' -- one 'two words'\n\n\
    Standard output is the program's and nothing else; the kernel's log goes to standard error. The exit status is the\n\
    program's. On a terminal the program has it: Ctrl-C and Ctrl-D do what they do to a program here. Ctrl-] three times\n\
    within a second ends the VM. Without one Ctrl-C, as SIGTERM and SIGHUP to this command, asks the program to end\n\
    (SIGTERM); after --stop-timeout seconds, or at a second signal, the VM is ended (status 128 + signal).")]
pub struct RunCommand {
    #[command(flatten)]
    args: RunArgs,
}

impl RunCommand {
    pub fn run(mut self, yes: bool) -> Result<u8> {
        if !self.args.detach && !self.args.hosted {
            self.args.terminal = terminal::of_user().map(|terminal| terminal.to_string());
        }
        let args = &self.args;
        if let Some(name) = &args.name {
            state::check_name(name)?;
        }
        if args.hosted && !args.disk.is_empty() {
            return Err(usage(
                "--disk needs a VM: a Linux process uses this machine's files, which -v DIR:/path shows it",
            ));
        }
        let path = resolve::image(&args.image, args.components(), yes)?;
        let image = Image::open(&path)?;
        if args.hosted {
            return hosted::run(args, &image);
        }
        // Here and not later: here the user can be asked, in a detached VM's supervisor not.
        packages::ensure(vmm::needs(&args.vmm).as_slice(), yes)?;
        if args.detach {
            return detach::detached(args, std::path::absolute(&path)?);
        }
        let vm = prepare::prepare(args, &image, &mut |text| start::say(text))?;
        drop(image);
        if args.dry_run { print_line(&vm) } else { start::foreground(vm) }
    }
}

/// `--dry-run`: the parameter file is kept, so that the line works when pasted.
fn print_line(vm: &prepare::Prepared) -> Result<u8> {
    let folder = state::folder()?.join("dry-run");
    state::make_private(&folder)?;
    let path = folder.join(format!("{}.initrd", vm.stem));
    state::private_file(&path).and_then(|mut file| {
        file.set_len(0)?;
        file.write_all(&vm.initrd)
    })?;
    let command = vm.vmm.by_hand(&vm.machine(&path), std::io::stdin().is_terminal());
    output::line(&command::line(&command))?;
    Ok(0)
}
