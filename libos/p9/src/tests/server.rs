//! A 9P server for tests, serving a folder. Like QEMU's, its fids are paths until they are opened, and follow renames
//! made through it.

use crate::wire::{HEADER, Reader, kind};
use libos_base::layout::PAGE_SIZE;
use libos_base::p9::{Payload, Transport};
use libos_base::{Errno, Result};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

struct Fid {
    path: PathBuf,
    open: Option<File>,
}

/// Changes a reply.
pub type Spoil = fn(&mut Vec<u8>);

/// See the module.
pub struct Server {
    root: PathBuf,
    fids: Mutex<HashMap<u32, Fid>>,
    pub messages: AtomicUsize,
    pub fsyncs: AtomicUsize,
    /// Number of files that were opened.
    pub opens: AtomicUsize,
    /// Makes the next write fail, or write only this many bytes.
    pub fail_write: Mutex<Option<Result<usize>>>,
    /// While this is held, writes do not reach the folder.
    pub writing: Mutex<()>,
    /// Changes every reply.
    pub spoil: Mutex<Option<Spoil>>,
}

fn errno(e: &io::Error) -> u32 {
    e.raw_os_error().unwrap_or(5) as u32
}

fn text<'a>(r: &mut Reader<'a>) -> io::Result<&'a OsStr> {
    r.text().map(OsStr::from_bytes).map_err(|_| io::Error::from_raw_os_error(22))
}

impl Server {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            fids: Mutex::default(),
            messages: AtomicUsize::new(0),
            fsyncs: AtomicUsize::new(0),
            opens: AtomicUsize::new(0),
            fail_write: Mutex::default(),
            writing: Mutex::default(),
            spoil: Mutex::default(),
        }
    }
    /// Number of known fids, and how many of them are open.
    pub fn fids(&self) -> (usize, usize) {
        let f = self.fids.lock().unwrap();
        (f.len(), f.values().filter(|f| f.open.is_some()).count())
    }

    fn path(&self, fid: u32) -> io::Result<PathBuf> {
        let f = self.fids.lock().unwrap();
        f.get(&fid).map(|f| f.path.clone()).ok_or(io::Error::from_raw_os_error(9))
    }
    fn file(&self, fid: u32) -> io::Result<File> {
        let f = self.fids.lock().unwrap();
        f.get(&fid).and_then(|f| f.open.as_ref()).ok_or(io::Error::from_raw_os_error(9))?.try_clone()
    }

    fn answer(&self, k: u8, r: &mut Reader<'_>, out: &[u8], into: usize) -> io::Result<Vec<u8>> {
        let e = |_| io::Error::from_raw_os_error(22);
        let u32 = |r: &mut Reader<'_>| r.u32().map_err(e);
        let mut a = Vec::new();
        match k {
            kind::VERSION => {
                a.extend(u32(r)?.min(70_000).to_le_bytes());
                put_text(&mut a, r.text().map_err(e)?);
            }
            kind::ATTACH => {
                self.fids.lock().unwrap().insert(u32(r)?, Fid { path: self.root.clone(), open: None });
                put_qid(&mut a, &fs::symlink_metadata(&self.root)?);
            }
            kind::WALK => {
                let (from, new, n) = (u32(r)?, u32(r)?, r.u16().map_err(e)?);
                let mut path = self.path(from)?;
                a.extend(n.to_le_bytes());
                for _ in 0..n {
                    path.push(text(r)?);
                    put_qid(&mut a, &fs::symlink_metadata(&path)?);
                }
                let old = self.fids.lock().unwrap().insert(new, Fid { path, open: None });
                assert!(old.is_none(), "fid {new} is in use");
            }
            kind::CLUNK => {
                let gone = self.fids.lock().unwrap().remove(&u32(r)?);
                assert!(gone.is_some(), "no such fid");
            }
            kind::LOPEN => {
                let (fid, flags) = (u32(r)?, u32(r)?);
                let path = self.path(fid)?;
                let is_open = self.fids.lock().unwrap()[&fid].open.is_some();
                assert!(!is_open, "opened twice");
                let (mode, append) = (flags & 3, flags as i32 & 0o2000);
                self.opens.fetch_add(1, Ordering::Relaxed);
                let f =
                    OpenOptions::new().read(mode != 1).write(mode != 0).custom_flags(0o400000 | append).open(&path)?;
                put_qid(&mut a, &f.metadata()?);
                a.extend([0; 4]);
                self.fids.lock().unwrap().get_mut(&fid).unwrap().open = Some(f);
            }
            kind::LCREATE => {
                let fid = u32(r)?;
                let path = self.path(fid)?.join(text(r)?);
                let (_flags, mode) = (u32(r)?, u32(r)?);
                let f = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
                f.set_permissions(fs::Permissions::from_mode(mode))?;
                put_qid(&mut a, &f.metadata()?);
                a.extend([0; 4]);
                *self.fids.lock().unwrap().get_mut(&fid).unwrap() = Fid { path, open: Some(f) };
            }
            kind::SYMLINK => {
                let path = self.path(u32(r)?)?.join(text(r)?);
                std::os::unix::fs::symlink(text(r)?, &path)?;
                put_qid(&mut a, &fs::symlink_metadata(&path)?);
            }
            kind::MKDIR => {
                let path = self.path(u32(r)?)?.join(text(r)?);
                fs::DirBuilder::new().mode(0o777).create(&path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(u32(r)?))?;
                put_qid(&mut a, &fs::symlink_metadata(&path)?);
            }
            kind::LINK => {
                let (dir, file) = (self.path(u32(r)?)?, self.path(u32(r)?)?);
                fs::hard_link(file, dir.join(text(r)?))?;
            }
            kind::READLINK => put_text(&mut a, fs::read_link(self.path(u32(r)?)?)?.as_os_str().as_bytes()),
            kind::RENAMEAT => {
                let from = self.path(u32(r)?)?.join(text(r)?);
                let to = self.path(u32(r)?)?.join(text(r)?);
                fs::rename(&from, &to)?;
                for f in self.fids.lock().unwrap().values_mut() {
                    if let Ok(rest) = f.path.strip_prefix(&from) {
                        f.path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                    }
                }
            }
            kind::UNLINKAT => {
                let path = self.path(u32(r)?)?.join(text(r)?);
                if u32(r)? & 0x200 != 0 { fs::remove_dir(path)? } else { fs::remove_file(path)? }
            }
            kind::GETATTR => {
                let m = fs::symlink_metadata(self.path(u32(r)?)?)?;
                a.extend(0x7ffu64.to_le_bytes());
                put_qid(&mut a, &m);
                for v in [m.mode(), m.uid(), m.gid()] {
                    a.extend(v.to_le_bytes());
                }
                for v in [m.nlink(), m.rdev(), m.size(), m.blksize(), m.blocks()] {
                    a.extend(v.to_le_bytes());
                }
                for v in [m.atime(), m.atime_nsec(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), 0, 0, 0, 0] {
                    a.extend(v.to_le_bytes());
                }
            }
            kind::SETATTR => {
                let (fid, valid, mode) = (u32(r)?, u32(r)?, u32(r)?);
                let path = self.path(fid)?;
                let (_uid, _gid) = (u32(r)?, u32(r)?);
                let mut u64 = || r.u64().map_err(e);
                let (size, at, atn, mt, mtn) = (u64()?, u64()?, u64()?, u64()?, u64()?);
                if valid & 1 != 0 {
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
                }
                if valid & 8 != 0 {
                    OpenOptions::new().write(true).open(&path)?.set_len(size)?;
                }
                let f = File::open(&path)?;
                if valid & 0x80 != 0 {
                    f.set_times(fs::FileTimes::new().set_accessed(UNIX_EPOCH + Duration::new(at, atn as u32)))?;
                }
                if valid & 0x100 != 0 {
                    f.set_times(fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(mt, mtn as u32)))?;
                }
            }
            kind::READDIR => {
                let (fid, offset) = (u32(r)?, r.u64().map_err(e)?);
                self.file(fid)?;
                let mut all = Vec::new();
                for entry in fs::read_dir(self.path(fid)?)? {
                    let entry = entry?;
                    // Offsets that do not depend on the other entries, like those of ext4.
                    let mut h = DefaultHasher::new();
                    entry.file_name().hash(&mut h);
                    all.push((h.finish() >> 1 | 1, entry.file_name(), entry.metadata()?));
                }
                all.sort_by_key(|e| e.0);
                a.extend([0; 4]);
                for (at, name, m) in all.iter().filter(|e| e.0 > offset) {
                    let before = a.len();
                    put_qid(&mut a, m);
                    a.extend(at.to_le_bytes());
                    a.push((m.mode() >> 12) as u8);
                    put_text(&mut a, name.as_bytes());
                    if a.len() - 4 > into {
                        a.truncate(before);
                        break;
                    }
                }
                let n = a.len() as u32 - 4;
                a[..4].copy_from_slice(&n.to_le_bytes());
            }
            kind::FSYNC => {
                self.fsyncs.fetch_add(1, Ordering::Relaxed);
                self.file(u32(r)?)?.sync_all()?;
            }
            kind::STATFS => {
                self.path(u32(r)?)?;
                for v in [0x0102_1997u32, 4096] {
                    a.extend(v.to_le_bytes());
                }
                for v in [1000u64, 500, 400, 100, 50, 7] {
                    a.extend(v.to_le_bytes());
                }
                a.extend(255u32.to_le_bytes());
            }
            kind::READ => {
                let (fid, at, n) = (u32(r)?, r.u64().map_err(e)?, u32(r)? as usize);
                assert!(n <= into);
                a.resize(4 + n, 0);
                let got = self.file(fid)?.read_at(&mut a[4..], at)?;
                a.truncate(4 + got);
                a[..4].copy_from_slice(&(got as u32).to_le_bytes());
            }
            kind::WRITE => {
                let (fid, at, n) = (u32(r)?, r.u64().map_err(e)?, u32(r)? as usize);
                assert_eq!(n, out.len());
                let _writing = self.writing.lock().unwrap();
                let n = match self.fail_write.lock().unwrap().take() {
                    Some(Err(e)) => return Err(io::Error::from_raw_os_error(e as i32)),
                    Some(Ok(n)) => n,
                    None => n,
                };
                let got = self.file(fid)?.write_at(&out[..n], at)?;
                a.extend((got as u32).to_le_bytes());
            }
            _ => return Err(io::Error::from_raw_os_error(95)),
        }
        Ok(a)
    }
}

fn put_text(a: &mut Vec<u8>, t: &[u8]) {
    a.extend((t.len() as u16).to_le_bytes());
    a.extend(t);
}

fn put_qid(a: &mut Vec<u8>, m: &Metadata) {
    a.push(if m.is_dir() {
        0x80
    } else if m.file_type().is_symlink() {
        2
    } else {
        0
    });
    assert!(!m.file_type().is_char_device());
    a.extend((m.mtime() as u32 ^ (m.size() as u32) << 8).to_le_bytes());
    a.extend(m.ino().to_le_bytes());
}

impl Transport for Server {
    fn max_pages(&self) -> usize {
        62
    }
    fn call(&self, request: &[u8], payload: Payload<'_>, reply: &mut [u8]) -> Result<usize> {
        self.messages.fetch_add(1, Ordering::Relaxed);
        let mut out = Vec::new();
        let mut into = 0;
        match payload {
            Payload::Out(pages, len) => {
                out.resize(len, 0);
                for (to, p) in out.chunks_mut(PAGE_SIZE).zip(pages) {
                    p.read(0, to);
                }
            }
            Payload::In(_, n) => into = n,
            Payload::None => {}
        }
        let size = u32::from_le_bytes(request[..4].try_into().unwrap()) as usize;
        assert_eq!(size, request.len() + out.len());
        let k = request[4];
        let mut answer = match self.answer(k, &mut Reader(&request[HEADER..]), &out, into) {
            Ok(a) => [&(HEADER as u32 + a.len() as u32).to_le_bytes()[..], &[k + 1, 0, 0], &a].concat(),
            Err(e) => [&11u32.to_le_bytes()[..], &[kind::LERROR + 1, 0, 0], &errno(&e).to_le_bytes()].concat(),
        };
        if let Some(spoil) = *self.spoil.lock().unwrap() {
            spoil(&mut answer);
        }
        let head = answer.len().min(reply.len());
        reply[..head].copy_from_slice(&answer[..head]);
        if let Payload::In(pages, n) = payload {
            for (from, p) in answer[head..].chunks(PAGE_SIZE).zip(pages) {
                p.write(0, from);
            }
            return Ok(answer.len().min(head + n));
        }
        if answer.len() > reply.len() { Err(Errno::EIO) } else { Ok(answer.len()) }
    }
    fn post(&self, request: &[u8]) -> bool {
        self.call(request, Payload::None, &mut [0; 64]).is_ok()
    }
}
