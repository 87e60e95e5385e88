//! `/proc`, default files, console. Uses the global process, whose descriptors `/proc/self/fd` shows.

use super::*;
use crate::console::{OnTerminal, Stream, attach};
use libos_base::abi::{DirFd, Fd, IoctlArgument};
use libos_base::poll::{Events, Pollee};
use std::sync::Mutex;

struct Host {
    text: Mutex<Vec<u8>>,
    pollee: Pollee,
}
impl Stream for Host {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        let mut t = self.text.lock().unwrap();
        let n = t.len().min(buf.len());
        buf[..n].copy_from_slice(&t[..n]);
        t.drain(..n);
        Ok(n)
    }
    fn write(&self, buf: &[u8]) -> Result<usize> {
        self.text.lock().unwrap().extend_from_slice(&buf[..buf.len().min(7)]);
        Ok(buf.len().min(7))
    }
    fn ready(&self) -> Events {
        Events::IN | Events::OUT
    }
    fn pollee(&self) -> &Pollee {
        &self.pollee
    }
}

fn host(text: &str) -> Arc<Host> {
    Arc::new(Host { text: Mutex::new(text.into()), pollee: Pollee::new() })
}

#[test]
fn mappings_are_listed_as_linux_does() {
    crate::procfs::whole::provide();
    // Its root is there before anything is read.
    let p = crate::files();
    p.root().unwrap();
    let maps = "00400000-00403000 r-xp 00001000 08:03 7                                  /bin/a\\012b\n\
                7f1234567000-7f123456a000 rw-p 00000000 00:00 0 \n";
    assert_eq!(get(p, "/proc/self/maps").unwrap(), maps);
    let smaps = get(p, "/proc/self/smaps").unwrap();
    assert!(smaps.contains("\nSize:                 12 kB\nKernelPageSize:        4 kB\n"), "{smaps}");
    assert!(smaps.contains("\nTHPeligible:           0\nVmFlags: rd wr mr me \n"), "{smaps}");
    let sum = get(p, "/proc/self/smaps_rollup").unwrap();
    let head = format!("{:73}[rollup]\nRss:                  16 kB\n", "00400000-7f123456a000 ---p 00000000 00:00 0");
    assert!(sum.starts_with(&head), "{sum}");
    assert!(sum.ends_with("\nLocked:                0 kB\n"), "{sum}");
    assert!(get(p, "/proc/self/status").unwrap().contains("Cpus_allowed_list:\t0-1,3\n"));
    let f = open(p, "/proc/self/pagemap", RD).unwrap();
    let mut two = [0; 16];
    assert_eq!(f.read_at(8 * 0x1_0000, &mut libos_base::io::Sink::kernel(&mut two)), Ok(16));
    assert_eq!(err(f.read_at(4, &mut libos_base::io::Sink::kernel(&mut two))), Errno::EINVAL);
    assert_eq!(get(p, "/sys/devices/system/cpu/online").unwrap(), "0\n");
    assert_eq!(get(p, "/sys/devices/system/cpu/cpu0/topology/core_siblings").unwrap(), "00000000,00000001\n");
    assert_eq!(err(stat(p, "/sys/devices/system/cpu/cpu1")), Errno::ENOENT);
    assert_eq!(err(stat(p, "/sys/devices/system/cpu/0")), Errno::ENOENT);
    assert!(list(p, "/sys/devices/system/cpu", 4096).contains(&"cpu0".to_string()));
    let info = get(p, "/proc/self/mountinfo").unwrap();
    assert!(info.lines().any(|l| l.ends_with(" / /sys rw,relatime - sysfs sysfs rw")), "{info}");
}

#[test]
fn standard_streams_and_proc_self() {
    crate::procfs::whole::provide();
    let p = crate::files();
    let (input, output, errors) = (host("typed"), host(""), host(""));
    attach(p, input, output.clone(), errors, OnTerminal::None).unwrap();
    assert_eq!(read(&p.fds.readable(Fd(0)).unwrap(), 100).unwrap(), b"typed");
    assert_eq!(err(p.fds.readable(Fd(1))), Errno::EBADF);
    assert_eq!(write(&p.fds.writable(Fd(1)).unwrap(), b"longer than seven").unwrap(), 17);
    let again = open(p, "/dev/stdout", OpenFlags::WRONLY).unwrap();
    write(&again, b", again").unwrap();
    assert_eq!(*output.text.lock().unwrap(), b"longer than seven, again");
    assert_eq!(p.fds.get(Fd(1)).unwrap().stat().unwrap().mode & 0o170000, 0o010000);
    assert_eq!(err(p.fds.get(Fd(1)).unwrap().ioctl(0x5401, IoctlArgument(0))), Errno::ENOTTY);
    assert_eq!(get(p, "/dev/stdin").unwrap(), "");

    assert_eq!(p.readlink(DirFd::CWD, b"/proc/self").unwrap(), b"2");
    assert_eq!(p.readlink(DirFd::CWD, b"/dev/fd/1").unwrap(), b"pipe:[2]");
    let fd = p.open_fd(DirFd::CWD, b"/etc/hosts", how(RD)).unwrap();
    let link = format!("/proc/self/fd/{}", fd.0);
    assert_eq!(p.readlink(DirFd::CWD, link.as_bytes()).unwrap(), b"/etc/hosts");
    assert_eq!(get(p, &link).unwrap(), get(p, "/etc/hosts").unwrap());
    assert!(list(p, "/proc/self/fd", 4096).contains(&fd.0.to_string()));
    p.fds.close(fd).unwrap();
    assert_eq!(err(get(p, &link)), Errno::ENOENT);
    // A file without a name comes back through its descriptor.
    let fd = p.fds.add(p.memfd(b"scratch", 0o777).unwrap(), false).unwrap();
    write(&p.fds.get(fd).unwrap(), b"kept").unwrap();
    let link = format!("/proc/self/fd/{}", fd.0);
    assert_eq!(p.readlink(DirFd::CWD, link.as_bytes()).unwrap(), b"/memfd:scratch (deleted)");
    assert_eq!(get(p, &link).unwrap(), "kept");
    let (r, w) = crate::pipe::pipe(false, false).unwrap();
    let (r, w): (Arc<dyn FileLike>, i32) = (r, (p.fds.add(w, false).unwrap()).0);
    write(&open(p, &format!("/proc/self/fd/{w}"), OpenFlags::WRONLY).unwrap(), b"reopened").unwrap();
    assert_eq!(read(&r, 99).unwrap(), b"reopened");
    p.chdir(b"/tmp").unwrap();
    assert_eq!(p.readlink(DirFd::CWD, b"/proc/self/cwd").unwrap(), b"/tmp");
    assert!(stat(p, "/proc/self/cwd/../etc/passwd").is_ok());
    assert_eq!(get(p, "/proc/2/comm").unwrap(), "program\n");
    assert!(get(p, "/proc/self/status").unwrap().contains("Umask:\t0022\n"));
    assert!(get(p, "/proc/self/limits").unwrap().contains("Max open files            1024                 1048576"));
}

#[test]
fn system_files() {
    let p = files();
    let root = list(&p, "/proc", 100);
    for name in ["2", "self", "meminfo", "sys", "mounts", "cpuinfo"] {
        assert!(root.contains(&name.to_string()), "{name}: {root:?}");
    }
    assert_eq!(get(&p, "/proc/sys/net/core/somaxconn").unwrap(), "4096\n");
    assert_eq!(get(&p, "/proc/sys/kernel/hostname").unwrap(), "unibody\n");
    assert_eq!(get(&p, "/proc/sys/kernel/random/boot_id"), get(&p, "/proc/sys/kernel/random/boot_id"));
    assert_eq!(get(&p, "/proc/sys/kernel/random/uuid").unwrap().len(), 37);
    assert!(get(&p, "/proc/meminfo").unwrap().starts_with("MemTotal:              0 kB\n"));
    let up = get(&p, "/proc/uptime").unwrap();
    assert!(up.split(' ').next().unwrap().parse::<f64>().is_ok(), "{up}");
    for f in ["cpuinfo", "stat", "loadavg", "version", "filesystems", "cmdline"] {
        get(&p, &format!("/proc/{f}")).unwrap();
    }
    assert_eq!(err(write(&open(&p, "/proc/uptime", RW).unwrap(), b"x")), Errno::EIO);
    assert_eq!(err(open(&p, "/proc/new", create())), Errno::ENOENT);
    assert_eq!(err(unlink(&p, "/proc/uptime")), Errno::EPERM);
    assert_eq!(err(stat(&p, "/proc/1")), Errno::ENOENT);
    assert_eq!(stat(&p, "/proc/sys").unwrap().mode, 0o040555);
}

#[test]
fn defaults_are_there() {
    let p = files();
    for f in ["passwd", "group", "hosts", "resolv.conf", "services", "protocols", "hostname"] {
        get(&p, &format!("/etc/{f}")).unwrap();
    }
    assert!(get(&p, "/etc/hosts").unwrap().contains("127.0.0.1\tlocalhost\n"));
    assert!(get(&p, "/etc/services").unwrap().contains("\nhttp\t80/tcp"));
    assert!(get(&p, "/etc/services").unwrap().lines().all(|l| l.split('\t').nth(1).unwrap().contains('/')));
    assert_eq!(stat(&p, "/tmp").unwrap().mode, 0o041777);
    assert_eq!(stat(&p, "/dev/shm").unwrap().mode, 0o041777);
    assert_eq!(p.readlink(DirFd::CWD, b"/var/run").unwrap(), b"/run");
}

#[test]
fn unix_socket_nodes() {
    let p = files();
    p.bind_socket(b"/run/s", Arc::new(7u32)).unwrap();
    assert_eq!(err(p.bind_socket(b"/run/s", Arc::new(8u32))), Errno::EADDRINUSE);
    assert_eq!(p.bound_socket(b"/run/s").unwrap().downcast_ref::<u32>(), Some(&7));
    assert_eq!(err(p.bound_socket(b"/etc/passwd")), Errno::ECONNREFUSED);
    assert_eq!(err(p.bound_socket(b"/none")), Errno::ENOENT);
    assert_eq!(stat(&p, "/run/s").unwrap().mode, 0o140755);
    assert_eq!(err(open(&p, "/run/s", RW)), Errno::ENXIO);
}
