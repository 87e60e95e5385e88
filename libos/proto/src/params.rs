//! Boot parameters: what the guest learns about arguments, environment and network.
//!
//! They come in two forms. **Records**, `key=value\0` one after the other, are what the tool writes into [`FILE`]: any
//! byte except NUL arrives unchanged. The **kernel command line** is for people who start a VMM by hand: words are
//! separated by blanks and grouped by `"double quotes"`, a backslash removes the special meaning of `"` and `\`, and
//! all words after a lone `--` are the program's arguments.

use crate::number;

/// The file that holds the records, in the image's own root archive and in the initrd.
pub const FILE: &str = ".unibody/params";

/// The keys.
pub mod key {
    /// One program argument (repeated): `argv[1..]`.
    pub const ARG: &[u8] = b"arg";
    /// `argv[0]`; defaults to the program's name.
    pub const ARGV0: &[u8] = b"argv0";
    /// One environment variable, `NAME=VALUE` (repeated; later sources replace by name).
    pub const ENV: &[u8] = b"env";
    /// Working directory.
    pub const CWD: &[u8] = b"cwd";
    /// Host name.
    pub const HOSTNAME: &[u8] = b"hostname";
    /// IPv4: `dhcp` or `A.B.C.D/N[,gw=X]`; see [`crate::net::Ip4`].
    pub const IP: &[u8] = b"ip";
    /// IPv6: `auto`, `none` or `ADDR/N[,gw=X]`; see [`crate::net::Ip6`].
    pub const IP6: &[u8] = b"ip6";
    /// One name server (repeated).
    pub const DNS: &[u8] = b"dns";
    /// One domain in which short names are looked up (repeated).
    pub const DNS_SEARCH: &[u8] = b"dns-search";
    /// A disk to mount (repeated): `SERIAL:PATH:FS[:ro]`.
    pub const DISK: &[u8] = b"disk";
    /// A folder of the host to mount (repeated): `TAG:PATH[:ro]`.
    pub const SHARE: &[u8] = b"share";
    /// Kernel log level: `error`, `warn`, `info` or `debug`.
    pub const LOG: &[u8] = b"log";
    /// `1`: somebody is listening on the control port and wants messages there.
    pub const CONTROL: &[u8] = b"control";
    /// The size of the image's file, which the VMM was given under the name [`crate::IMAGE_FILE`].
    pub const IMAGE_SIZE: &[u8] = b"image-size";
    /// Standard output or error that cannot be written to from the beginning (repeated): `STREAM ERRNO`, see
    /// [`crate::control::FromHost::OutputFailed`].
    pub const OUTPUT_FAILED: &[u8] = b"output-failed";
    /// The program's streams are a terminal; see [`crate::terminal::Terminal`].
    pub const TTY: &[u8] = b"tty";
    /// What a request for memory is measured against; named like the kernel parameter by which Linux sets this file of
    /// `/proc/sys`.
    pub const OVERCOMMIT: &[u8] = b"sysctl.vm.overcommit_memory";
    /// A resource limit (repeated): `NUMBER:SOFT:HARD`, with the number that getrlimit(2) has for it; see
    /// [`crate::rlimit`].
    pub const RLIMIT: &[u8] = b"rlimit";
    /// Keys in the image's own file that begin like this are for the tool; the guest silently ignores them.
    pub const TOOL: &[u8] = b"tool.";
    /// A port that `unibody run` forwards if no `-p` is given, in the syntax of `-p` (repeated).
    pub const TOOL_PUBLISH: &[u8] = b"tool.publish";
    /// An argument for when the image runs as a Linux process and the user gave none (repeated; replaces [`ARG`]).
    pub const TOOL_HOSTED_ARG: &[u8] = b"tool.hosted.arg";
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// What is set; never empty.
    pub key: &'a [u8],
    /// The value it is set to.
    pub value: &'a [u8],
}

/// The records of a parameter file. Pieces without `=` or with an empty key are not parameters and are skipped.
pub fn records(file: &[u8]) -> impl Iterator<Item = Param<'_>> {
    file.split(|&b| b == 0).filter_map(|record| {
        let equals = record.iter().position(|&b| b == b'=')?;
        (equals > 0).then(|| Param { key: &record[..equals], value: &record[equals + 1..] })
    })
}

/// One piece of a kernel command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// `key=value` before `--`. The key is plain; the value may hold quotes.
    Param {
        /// What is set; never empty.
        key: &'a [u8],
        /// The value it is set to.
        value: Word<'a>,
    },
    /// A word without `=` before `--`: GRUB and other loaders put their own there.
    Flag(Word<'a>),
    /// A word after `--`.
    Arg(Word<'a>),
}

/// A word (or the end of one) as written on the command line, including quotes and backslashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a>(pub &'a [u8]);

impl<'a> Word<'a> {
    /// Its bytes, unquoted.
    pub fn bytes(self) -> impl Iterator<Item = u8> + Clone + 'a {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            loop {
                let (byte, used) = match *rest {
                    [] => return None,
                    [b'\\', escaped @ (b'"' | b'\\'), ..] => (Some(escaped), 2),
                    [b'"', ..] => (None, 1),
                    [byte, ..] => (Some(byte), 1),
                };
                rest = &rest[used..];
                if byte.is_some() {
                    return byte;
                }
            }
        })
    }

    /// Whether the unquoted word is `text`.
    pub fn is(self, text: &[u8]) -> bool {
        self.bytes().eq(text.iter().copied())
    }
}

/// The parameters and arguments of a kernel command line, which ends at its first NUL. `virtio_mmio.device=` words are
/// skipped wherever they are (QEMU's microvm appends them after the program's arguments): see [`mmio_devices`].
pub fn command_line(line: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut arguments = false;
    words(line).filter_map(move |word| {
        if word.0.starts_with(MMIO_DEVICE) {
            return None;
        }
        if arguments {
            return Some(Item::Arg(word));
        }
        if word.0 == b"--" {
            arguments = true;
            return None;
        }
        // `"key=a b"` is as good as `key="a b"`: the value then begins inside the quotes, which are removed all the
        // same.
        let inner = word.0.strip_prefix(b"\"").unwrap_or(word.0);
        let key = inner.iter().position(|&b| b == b'=').map(|at| &inner[..at]);
        match key {
            Some(key) if !key.is_empty() && !key.contains(&b'"') => {
                Some(Item::Param { key, value: Word(&inner[key.len() + 1..]) })
            }
            _ => Some(Item::Flag(word)),
        }
    })
}

const MMIO_DEVICE: &[u8] = b"virtio_mmio.device=";

/// A virtio-mmio device that the VMM announces, `virtio_mmio.device=SIZE@BASE:IRQ` (Linux, drivers/virtio/virtio_mmio.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioDevice {
    /// Size of its register window.
    pub size: u64,
    /// Physical address of the window.
    pub base: u64,
    /// Global system interrupt.
    pub irq: u32,
}

impl MmioDevice {
    /// Parses `SIZE@BASE:IRQ[:ID]`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let at = text.iter().position(|&b| b == b'@')?;
        let mut rest = text[at + 1..].split(|&b| b == b':');
        let size = number::size(&text[..at])?;
        let base = number::any(rest.next()?)?;
        let irq = u32::try_from(number::any(rest.next()?)?).ok()?;
        (size > 0 && base.checked_add(size).is_some()).then_some(Self { size, base, irq })
    }
}

/// The virtio-mmio devices announced anywhere on a kernel command line; malformed ones are skipped.
pub fn mmio_devices(line: &[u8]) -> impl Iterator<Item = MmioDevice> {
    words(line).filter_map(|word| MmioDevice::parse(word.0.strip_prefix(MMIO_DEVICE)?))
}

/// Splits a line into words, separated by blanks except between quotes. A quote that is never closed extends to the
/// end.
fn words(line: &[u8]) -> impl Iterator<Item = Word<'_>> {
    let mut rest = &line[..line.iter().position(|&b| b == 0).unwrap_or(line.len())];
    core::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        let mut quoted = false;
        let mut end = 0;
        while let Some(&byte) = rest.get(end) {
            match byte {
                b'\\' if matches!(rest.get(end + 1), Some(b'"' | b'\\')) => end += 1,
                b'"' => quoted = !quoted,
                _ if byte.is_ascii_whitespace() && !quoted => break,
                _ => {}
            }
            end += 1;
        }
        let (word, after) = rest.split_at(end.min(rest.len()));
        rest = after;
        Some(Word(word))
    })
}

/// Writes records.
#[cfg(not(unibody_kernel))]
#[derive(Default, Debug, Clone)]
pub struct Encoder(Vec<u8>);

#[cfg(not(unibody_kernel))]
impl Encoder {
    /// Adds a record. `Err` if the key is empty or contains `=`, or if either contains a NUL.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if key.is_empty() || key.contains(&b'=') {
            return Err("a parameter's key is empty or holds '='");
        }
        if key.contains(&0) || value.contains(&0) {
            return Err("a parameter cannot hold a NUL byte");
        }
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(0);
        Ok(())
    }

    /// The content for [`FILE`].
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: Word) -> String {
        String::from_utf8(word.bytes().collect()).unwrap()
    }

    fn shown(line: &str) -> Vec<String> {
        command_line(line.as_bytes())
            .map(|item| match item {
                Item::Param { key, value } => format!("{}={}", String::from_utf8_lossy(key), text(value)),
                Item::Flag(word) => format!("flag {}", text(word)),
                Item::Arg(word) => format!("arg {}", text(word)),
            })
            .collect()
    }

    #[test]
    fn records_round_trip() {
        let mut encoder = Encoder::default();
        let long = "ü \"quoted\" \n".repeat(3000);
        encoder.push(key::ARG, b"").unwrap();
        encoder.push(key::ARG, long.as_bytes()).unwrap();
        encoder.push(key::ENV, b"A=B=C").unwrap();
        assert!(encoder.push(b"a=b", b"").is_err());
        assert!(encoder.push(b"", b"x").is_err());
        assert!(encoder.push(b"a", b"x\0y").is_err());
        let file = encoder.finish();
        let back: Vec<_> = records(&file).collect();
        assert_eq!(back.len(), 3);
        assert_eq!(back[0], Param { key: b"arg", value: b"" });
        assert_eq!(back[1].value, long.as_bytes());
        assert_eq!(back[2], Param { key: b"env", value: b"A=B=C" });
    }

    #[test]
    fn rubbish_records() {
        assert_eq!(records(b"").count(), 0);
        assert_eq!(records(b"\0\0=x\0novalue\0").count(), 0);
        assert_eq!(records(b"cwd=/tmp").next().unwrap().value, b"/tmp");
    }

    #[test]
    fn lines() {
        assert_eq!(
            shown("ip=dhcp  env=\"A=b c\" quiet -- -c \"/a b\" x=y"),
            ["ip=dhcp", "env=A=b c", "flag quiet", "arg -c", "arg /a b", "arg x=y"]
        );
        assert_eq!(
            shown("\"hostname=a b\" =x -- \"\" -- \\\"q\\\\ a\\b \"open end"),
            ["hostname=a b", "flag =x", "arg ", "arg --", "arg \"q\\", "arg a\\b", "arg open end"]
        );
        assert_eq!(shown("a=1\0b=2"), ["a=1"]);
        assert_eq!(shown("\\"), ["flag \\"]);
        assert!(shown("").is_empty());
        assert!(Word(b"\"a b\"").is(b"a b"));
    }

    #[test]
    fn devices_anywhere() {
        let line = b"virtio_mmio.device=4K@0xc0001000:5 a=b -- prog virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=x@y";
        let found: Vec<_> = mmio_devices(line).collect();
        assert_eq!(
            found,
            [
                MmioDevice { size: 4096, base: 0xc000_1000, irq: 5 },
                MmioDevice { size: 512, base: 0xfeb0_0e00, irq: 12 }
            ]
        );
        assert_eq!(shown(std::str::from_utf8(line).unwrap()), ["a=b", "arg prog"]);
        assert_eq!(MmioDevice::parse(b"1@0xffffffffffffffff:1"), None);
    }
}
