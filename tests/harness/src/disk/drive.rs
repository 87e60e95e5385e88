//! Disks that log, fail or are slow: a script stands in for QEMU (`UNIBODY_QEMU`) and gives the disks of `unibody run --disk`
//! other block drivers.

use crate::qemu;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One of the three kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    Read,
    Write,
    Flush,
}

/// What is special about a disk.
pub enum Special<'a> {
    /// Nothing; but QEMU's process id becomes known (see `process_file`).
    Nothing,
    /// Every write and flush is logged to this file (see `write_log`).
    Logged(&'a Path),
    /// The nth request of a kind fails with EIO; with `forever`, so do all of its kind that follow.
    Failing {
        /// Which kind.
        io: Io,
        /// Counted from 1.
        n: u32,
        /// Whether later requests fail, too.
        forever: bool,
    },
    /// This many requests per second.
    Slow(u32),
    /// Without a write cache, and so without flushes.
    WriteThrough,
}

/// Writes the script: the first disk of the VM, whose image is `image`, becomes special.
pub fn script(folder: &Path, image: &Path, special: &Special) -> Result<PathBuf> {
    let name = |path: &Path| path.display().to_string().replace(',', ",,");
    let file = name(image);
    // Only the guest's flushes count: this machine need not wait for its own disk.
    let plain = format!("file.driver=file,file.cache.no-flush=on,file.filename={file}");
    let (mut device, mut object) = ("", String::new());
    let drive = match special {
        Special::Nothing => format!("driver=raw,{plain}"),
        // Writes take time, flushes do not: a flush that does not wait for its writes overtakes them.
        Special::Logged(log) => {
            object = "throttle-group,id=slow,x-iops-write=2000,x-iops-write-max=2000".to_owned();
            format!(
                "driver=blklogwrites,log-sector-size=512,discard=unmap,log.driver=file,log.cache.no-flush=on,log.filename={},\
                 file.driver=throttle,file.throttle-group=slow,file.file.driver=file,\
                 file.file.cache.no-flush=on,file.file.discard=unmap,file.file.filename={file}",
                name(log)
            )
        }
        Special::Failing { io, n, forever } => {
            let config = folder.join("blkdebug.conf");
            std::fs::write(&config, failing(*io, *n, *forever))?;
            format!(
                "driver=raw,file.driver=blkdebug,file.config={},file.image.driver=file,file.image.cache.no-flush=on,\
                 file.image.filename={file}",
                name(&config)
            )
        }
        Special::Slow(rate) => {
            object = format!("throttle-group,id=slow,x-iops-total={rate}");
            format!("driver=throttle,throttle-group=slow,{plain}")
        }
        Special::WriteThrough => {
            device = ",write-cache=off,config-wce=off";
            format!("driver=raw,{plain}")
        }
    };
    let object = if object.is_empty() { object } else { format!("-object '{object}' ") };
    let body = qemu::rewrite(&format!(
        "*node-name=disk0,*|*node-name=disk0) set -- \"$@\" 'node-name=disk0,{drive}' ;; \
         *drive=disk0,*|*drive=disk0) set -- \"$@\" \"$a{device}\" ;;"
    ));
    let start = format!("echo $$ > \"$0.pid\"\nexec qemu-system-x86_64 {object}");
    qemu::write_script(folder, "qemu-disk", &body.replace("exec qemu-system-x86_64 ", &start))
}

/// Where a started script stores the process id, which QEMU then has.
pub fn process_file(script: &Path) -> PathBuf {
    script.with_extension("pid")
}

/// Rules of QEMU's `blkdebug` driver: its state counts the requests.
fn failing(io: Io, n: u32, forever: bool) -> String {
    let (event, kind) = match io {
        Io::Read => ("read_aio", "read"),
        Io::Write => ("write_aio", "write"),
        Io::Flush => ("flush_to_disk", "flush"),
    };
    let mut text = String::new();
    for state in 1..n {
        let _ = write!(text, "[set-state]\nevent = \"{event}\"\nstate = \"{state}\"\nnew_state = \"{}\"\n", state + 1);
    }
    let once = if forever { "off" } else { "on" };
    text + &format!(
        "[inject-error]\nevent = \"{event}\"\nstate = \"{n}\"\niotype = \"{kind}\"\nerrno = \"5\"\nonce = \"{once}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let text = failing(Io::Write, 3, false);
        assert_eq!(text.matches("[set-state]").count(), 2);
        assert!(text.contains(
            "[inject-error]\nevent = \"write_aio\"\nstate = \"3\"\niotype = \"write\"\nerrno = \"5\"\nonce = \"on\"\n"
        ));
    }
}
