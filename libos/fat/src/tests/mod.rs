//! Volumes in memory, mounted as on a real machine and used through the VFS.

mod basic;
mod disk;
mod fsx;
mod hostile;
mod mkfs;
mod partition;
mod power_cut;

use crate::{FatInode, Refused, Volume};
use disk::MemDisk;
use fatfs::{FatType, FormatVolumeOptions, IoBase, Read, Seek, SeekFrom, Write};
use libos_base::Result;
use libos_base::abi::{DirFd, OpenFlags, RenameFlags};
use libos_base::block::BlockDevice;
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_fs::inode::Inode;
use libos_fs::mount::Mount;
use libos_fs::{Files, Path};
use std::sync::Arc;

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

struct Memory(Vec<u8>, u64);

impl IoBase for Memory {
    type Error = ();
}
impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ()> {
        let n = buf.len().min(self.0.len() - self.1 as usize);
        buf[..n].copy_from_slice(&self.0[self.1 as usize..][..n]);
        self.1 += n as u64;
        Ok(n)
    }
}
impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> Result<usize, ()> {
        let n = buf.len().min(self.0.len() - self.1 as usize);
        self.0[self.1 as usize..][..n].copy_from_slice(&buf[..n]);
        self.1 += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> Result<(), ()> {
        Ok(())
    }
}
impl Seek for Memory {
    fn seek(&mut self, pos: SeekFrom) -> Result<u64, ()> {
        self.1 = match pos {
            SeekFrom::Start(n) => n,
            SeekFrom::Current(n) => self.1.checked_add_signed(n).ok_or(())?,
            SeekFrom::End(n) => (self.0.len() as u64).checked_add_signed(n).ok_or(())?,
        };
        Ok(self.1)
    }
}

/// A kind of volume: name, table, bytes, bytes per cluster.
pub type Shape = (&'static str, FatType, usize, u32);
pub const SHAPES: &[Shape] = &[
    ("fat12/512", FatType::Fat12, 1 << 20, 512),
    ("fat12/4k", FatType::Fat12, 4 << 20, 4096),
    ("fat16/512", FatType::Fat16, 4 << 20, 512),
    ("fat16/2k", FatType::Fat16, 16 << 20, 2048),
    ("fat16/8k", FatType::Fat16, 40 << 20, 8192),
    ("fat32/512", FatType::Fat32, 36 << 20, 512),
    ("fat32/1k", FatType::Fat32, 70 << 20, 1024),
];

/// An empty volume, formatted by the crate.
pub fn format(shape: &Shape) -> Vec<u8> {
    let mut io = Memory(vec![0; shape.2], 0);
    let options = FormatVolumeOptions::new().fat_type(shape.1).bytes_per_cluster(shape.3);
    fatfs::format_volume(&mut io, options).unwrap();
    io.0
}

/// A mounted volume.
pub struct Fs {
    pub disk: Arc<MemDisk>,
    pub vol: Arc<Volume>,
    pub p: Files,
}

pub fn mount_root(root: Arc<FatInode>) -> Files {
    let mount = Mount::new_root(root, "/dev/vda").unwrap();
    Files::with_root(Path { dentry: mount.root.clone(), mount })
}

impl Fs {
    pub fn try_open(disk: &Arc<MemDisk>) -> Result<Fs, Refused> {
        let root = Volume::open(disk.clone() as Arc<dyn BlockDevice>, false)?;
        let vol = root.vol.clone();
        Ok(Fs { disk: disk.clone(), vol, p: mount_root(root) })
    }
    pub fn open_image(image: Vec<u8>) -> Fs {
        Fs::try_open(&MemDisk::from_image(image)).unwrap()
    }
    pub fn new(shape: &Shape) -> Fs {
        Fs::open_image(format(shape))
    }
    pub fn open(&self, path: &str, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
        self.p.open(DirFd::CWD, path.as_bytes(), flags, 0o644)
    }
    pub fn create(&self, path: &str) -> Arc<dyn FileLike> {
        self.open(path, OpenFlags::RDWR | OpenFlags::CREAT).unwrap()
    }
    pub fn put(&self, path: &str, data: &[u8]) {
        let f = self.open(path, OpenFlags::RDWR | OpenFlags::CREAT | OpenFlags::TRUNC).unwrap();
        assert_eq!(write(&f, 0, data), Ok(data.len()));
    }
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        let f = self.open(path, OpenFlags::empty())?;
        let n = f.stat()?.size as usize;
        read(&f, 0, n + 10)
    }
    pub fn sync_file(&self, path: &str) -> Result<()> {
        self.p.lookup(DirFd::CWD, path.as_bytes(), true)?.inode().sync(false)
    }
    pub fn mkdir(&self, path: &str) -> Result<()> {
        self.p.mkdir(DirFd::CWD, path.as_bytes(), 0o755)
    }
    pub fn unlink(&self, path: &str) -> Result<()> {
        self.p.unlink(DirFd::CWD, path.as_bytes(), false)
    }
    pub fn rmdir(&self, path: &str) -> Result<()> {
        self.p.unlink(DirFd::CWD, path.as_bytes(), true)
    }
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.p.rename(DirFd::CWD, from.as_bytes(), DirFd::CWD, to.as_bytes(), RenameFlags::empty())
    }
    pub fn inode(&self, path: &str) -> Result<Arc<dyn Inode>> {
        Ok(self.p.lookup(DirFd::CWD, path.as_bytes(), true)?.inode().clone())
    }
    pub fn truncate(&self, path: &str, len: u64) -> Result<()> {
        self.p.truncate(path.as_bytes(), len)
    }
    pub fn list(&self, path: &str) -> Vec<String> {
        let mut names = Vec::new();
        let dir = self.p.lookup(DirFd::CWD, path.as_bytes(), true).unwrap();
        dir.dentry
            .readdir(0, &mut |e| {
                names.push(String::from_utf8(e.name.to_vec()).unwrap());
                true
            })
            .unwrap();
        names
    }
    /// Unmounts and returns the resulting content of the disk.
    pub fn close(self) -> Vec<u8> {
        use libos_fs::inode::FileSystem;
        self.vol.unmount().unwrap();
        assert!(self.disk.durable() == self.disk.image(), "all is durable");
        self.disk.image()
    }
    /// Unmounts, checks, mounts again.
    pub fn again(self) -> Fs {
        let image = self.close();
        fsck(&image);
        Fs::open_image(image)
    }
}

/// Names in memory hold each other and so the disk; a kernel never lets go of a volume, but thousands of tests must.
impl Drop for Fs {
    fn drop(&mut self) {
        let Ok(root) = self.p.lookup(DirFd::CWD, b"/", true) else { return };
        let mut below = vec![root.dentry];
        while let Some(d) = below.pop() {
            let mut names = Vec::new();
            let _ = d.readdir(0, &mut |e| {
                names.push(e.name.to_vec());
                true
            });
            let Ok(mut children) = d.children() else { continue };
            for name in names {
                below.extend(children.get(&name).cloned());
                children.remove(&name);
            }
        }
    }
}

pub fn write(f: &Arc<dyn FileLike>, pos: u64, data: &[u8]) -> Result<usize> {
    f.write_at(pos, &mut Source::kernel(data))
}
pub fn read(f: &Arc<dyn FileLike>, pos: u64, n: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; n];
    let n = f.read_at(pos, &mut Sink::kernel(&mut buf))?;
    buf.truncate(n);
    Ok(buf)
}

/// A file that is deleted with this value.
pub struct Temp(pub std::path::PathBuf);

impl Temp {
    pub fn new(image: &[u8]) -> Temp {
        use std::sync::atomic::{AtomicU32, Ordering};
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("libos-fat-{}-{}.img", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, image).unwrap();
        Temp(path)
    }
}
impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Finds a program to check with; says so once if there is none.
pub fn tool(name: &str) -> Option<std::path::PathBuf> {
    let found =
        ["/usr/sbin", "/sbin", "/usr/bin"].iter().map(|d| std::path::Path::new(d).join(name)).find(|p| p.exists());
    if found.is_none() {
        eprintln!("NOT CHECKED: {name} is missing (package dosfstools or mtools)");
    }
    found
}

/// Checks that `fsck.vfat` finds nothing wrong.
pub fn fsck(image: &[u8]) {
    let Some(tool) = tool("fsck.vfat") else { return };
    let file = Temp::new(image);
    let out = std::process::Command::new(tool).arg("-n").arg("-v").arg(&file.0).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        std::fs::write("/tmp/libos-fat-bad.img", image).unwrap();
        panic!("fsck.vfat: {text}{}", String::from_utf8_lossy(&out.stderr));
    }
}
