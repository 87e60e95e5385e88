//! Tests of the whole file system, through the calls of a process, with a server for a temporary folder.

mod content;
mod kept;
mod names;
mod server;
mod tail;

use crate::attach;
use libos_base::abi::{AtFlags, DirFd, OpenFlags, RenameFlags, Stat};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::{Errno, Result};
use libos_fs::files::Files;
use libos_fs::mount::Mount;
use libos_fs::openfile::OpenFile;
use server::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A process whose root is a folder of the host.
struct Guest {
    p: Files,
    host: PathBuf,
    server: Arc<Server>,
}

impl Guest {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let n = NUMBER.fetch_add(1, Ordering::Relaxed);
        let host = std::env::temp_dir().join(format!("unibody-p9-{}-{n}", std::process::id()));
        fs::create_dir(&host).unwrap();
        Self::over(host)
    }
    fn over(host: PathBuf) -> Self {
        let server = Arc::new(Server::new(&host));
        let m = Mount::new_root(attach(server.clone()).unwrap(), "share").unwrap();
        let p = Files::with_root(libos_fs::Path { dentry: m.root.clone(), mount: m });
        Self { p, host, server }
    }
    fn at(&self, name: &str) -> PathBuf {
        self.host.join(name)
    }
    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.at(name), content).unwrap();
    }
    fn get(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.at(name)).unwrap()).unwrap()
    }
    fn open(&self, path: &str, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
        self.p.open(DirFd::CWD, path.as_bytes(), flags, 0o644)
    }
    fn read_file(&self, path: &str) -> Result<String> {
        self.p.read_file(path.as_bytes()).map(|b| String::from_utf8(b).unwrap())
    }
    fn stat(&self, path: &str) -> Result<Stat> {
        self.p.stat(DirFd::CWD, path.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.p.rename(DirFd::CWD, from.as_bytes(), DirFd::CWD, to.as_bytes(), RenameFlags::empty())
    }
    fn unlink(&self, path: &str) -> Result<()> {
        self.p.unlink(DirFd::CWD, path.as_bytes(), false)
    }
    /// Number of messages that `f` takes.
    fn count(&self, f: impl FnOnce()) -> usize {
        let before = self.server.messages.load(Ordering::Relaxed);
        f();
        self.server.messages.load(Ordering::Relaxed) - before
    }
    /// Waits until the host has no file open any more.
    fn until_closed(&self) {
        let start = Instant::now();
        while self.server.fids().1 > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "{} files stay open", self.server.fids().1);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    fn list(&self, path: &str, room: usize) -> Vec<String> {
        let f = self.open(path, RD).unwrap();
        list_open(&f, room)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.host);
    }
}

const RD: OpenFlags = OpenFlags::empty();
const RW: OpenFlags = OpenFlags::RDWR;

fn create() -> OpenFlags {
    OpenFlags::RDWR | OpenFlags::CREAT
}
fn append() -> OpenFlags {
    OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::APPEND
}
fn close(g: &Guest, f: Arc<dyn FileLike>) -> Result<()> {
    let fd = g.p.fds.add(f, false)?;
    g.p.fds.close(fd)
}
fn read_at(f: &Arc<dyn FileLike>, pos: u64, n: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; n];
    let k = f.read_at(pos, &mut Sink::kernel(&mut buf))?;
    buf.truncate(k);
    Ok(buf)
}
fn write(f: &Arc<dyn FileLike>, b: &[u8]) -> Result<usize> {
    f.write(&mut Source::kernel(b))
}
fn write_at(f: &Arc<dyn FileLike>, pos: u64, b: &[u8]) -> Result<usize> {
    f.write_at(pos, &mut Source::kernel(b))
}
fn resize(f: &Arc<dyn FileLike>, len: u64) -> Result<()> {
    libos_fs::openfile::resize(&f.downcast::<OpenFile>().unwrap().path, len)
}
fn err<T>(r: Result<T>) -> Errno {
    r.err().expect("an error")
}
/// The next records of a directory.
fn records(dir: &OpenFile, room: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let n = dir.read_dir(room, &mut |r| {
        all.extend_from_slice(r);
        r.len()
    });
    assert_eq!(n.unwrap(), all.len());
    all
}
/// Names from the current position on, as `getdents64` returns them with a buffer of `room` bytes.
fn list_open(f: &Arc<dyn FileLike>, room: usize) -> Vec<String> {
    let dir = f.downcast::<OpenFile>().unwrap();
    let mut names = Vec::new();
    loop {
        let records = records(dir, room);
        if records.is_empty() {
            return names;
        }
        names.extend(names_of(&records));
    }
}
fn names_of(mut records: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !records.is_empty() {
        let len = u16::from_ne_bytes([records[16], records[17]]) as usize;
        let name = records[19..len].split(|&b| b == 0).next().unwrap();
        names.push(String::from_utf8(name.to_vec()).unwrap());
        records = &records[len..];
    }
    names
}
fn exists(p: &Path) -> bool {
    p.symlink_metadata().is_ok()
}
