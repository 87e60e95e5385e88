//! What every program may expect to find, supplied where the image's root has nothing by that name; and `/dev`.

use crate::console;
use crate::device::makedev;
use crate::files::Files;
use crate::inode::{Inode, New};
use crate::ramfs::RamFs;
use crate::ramfs::populate::make_dirs;
use crate::root::{self, or_exists};
use crate::util::Text;
use alloc::sync::Arc;
use libos_base::abi::DirFd;
use libos_base::abi::mode::*;
use libos_base::{Errno, Result};

const FILES: &[(&[u8], &[u8])] = &[
    (
        b"/etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\n\
        daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
        bin:x:2:2:bin:/bin:/usr/sbin/nologin\n\
        www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    (
        b"/etc/group",
        b"root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\nwww-data:x:33:\nusers:x:100:\n\
        nogroup:x:65534:\n",
    ),
    (b"/etc/nsswitch.conf", b"hosts: files dns\n"),
    (b"/etc/services", SERVICES),
    (
        b"/etc/protocols",
        b"ip\t0\tIP\nicmp\t1\tICMP\nigmp\t2\tIGMP\ntcp\t6\tTCP\nudp\t17\tUDP\nipv6\t41\tIPv6\nipv6-icmp\t58\tIPv6-ICMP\n",
    ),
];

/// IANA's numbers for the services that programs look up by name.
const SERVICES: &[u8] = b"\
tcpmux\t1/tcp\necho\t7/tcp\necho\t7/udp\ndiscard\t9/tcp\ndiscard\t9/udp\ndaytime\t13/tcp\nftp-data\t20/tcp\nftp\t21/tcp\n\
ssh\t22/tcp\ntelnet\t23/tcp\nsmtp\t25/tcp\tmail\ntime\t37/tcp\ndomain\t53/tcp\ndomain\t53/udp\nbootps\t67/udp\nbootpc\t68/udp\n\
tftp\t69/udp\nhttp\t80/tcp\twww\nkerberos\t88/tcp\npop3\t110/tcp\tpop-3\nsunrpc\t111/tcp\tportmapper\nsunrpc\t111/udp\tportmapper\n\
ntp\t123/udp\nimap2\t143/tcp\timap\nsnmp\t161/udp\nsnmp-trap\t162/udp\nldap\t389/tcp\nhttps\t443/tcp\nhttps\t443/udp\n\
submissions\t465/tcp\tsmtps\nsyslog\t514/udp\nsubmission\t587/tcp\nldaps\t636/tcp\nimaps\t993/tcp\npop3s\t995/tcp\n\
ms-sql-s\t1433/tcp\nmqtt\t1883/tcp\nnfs\t2049/tcp\nmysql\t3306/tcp\npostgresql\t5432/tcp\tpostgres\nredis\t6379/tcp\n\
http-alt\t8080/tcp\twebcache\nmemcached\t11211/tcp\n";

fn dir(files: &Files, path: &[u8], mode: u32) -> Result<()> {
    if files.lookup(DirFd::CWD, path, true).is_ok() {
        return Ok(());
    }
    make_dirs(files, path)?;
    files.chmod(&files.lookup(DirFd::CWD, path, true)?, mode)
}

/// Creates a file unless the name exists. Returns whether it did.
fn file(files: &Files, path: &[u8], content: &'static [u8]) -> Result<bool> {
    match files.make_node(DirFd::CWD, path, New { mode: S_IFREG | 0o644, rdev: 0, target: &[] }) {
        Ok(i) => {
            if let Some(i) = i.downcast::<crate::ramfs::RamInode>() {
                i.set_base(content);
            }
            Ok(true)
        }
        Err(Errno::EEXIST) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Fills in what the archives did not contain.
pub(crate) fn fill(files: &Files) -> Result<()> {
    for (path, mode) in unibody_proto::FOLDERS {
        dir(files, path.as_bytes(), *mode)?;
    }
    or_exists(files.symlink(b"/run", DirFd::CWD, b"/var/run"))?;
    for (path, content) in FILES {
        file(files, path, content)?;
    }
    // An odd program name is no reason not to start.
    let _ = crate::program_file::make(files);
    let resolv_conf = b"/etc/resolv.conf";
    if crate::resolv_conf::is_expected() && file(files, resolv_conf, b"")? {
        crate::resolv_conf::made(files.lookup(DirFd::CWD, resolv_conf, false)?)?;
    }
    let name = root::hostname();
    if files.lookup(DirFd::CWD, b"/etc/hostname", false).is_err() {
        files.write_file(b"/etc/hostname", &Text::new().s(name).s("\n").0)?;
    }
    if files.lookup(DirFd::CWD, b"/etc/hosts", false).is_err() {
        let hosts = Text::new().s("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t").s(name).s("\n");
        files.write_file(b"/etc/hosts", &hosts.0)?;
    }
    Ok(())
}

/// An empty root for `/dev`.
pub(crate) fn devices() -> Result<Arc<dyn Inode>> {
    let fs = RamFs::with_dev("devtmpfs", root::capacity(), console::NODE_DEV)?;
    Ok(fs.make(New { mode: S_IFDIR | 0o755, rdev: 0, target: &[] })?)
}

/// The nodes of `/dev`.
pub(crate) fn fill_dev(files: &Files) -> Result<()> {
    const NODES: &[(&[u8], u64, u64, u32)] = &[
        // First, because its inode number is known in advance.
        (b"/dev/console", 5, 1, 0o600),
        (b"/dev/null", 1, 3, 0o666),
        (b"/dev/zero", 1, 5, 0o666),
        (b"/dev/full", 1, 7, 0o666),
        (b"/dev/random", 1, 8, 0o666),
        (b"/dev/urandom", 1, 9, 0o666),
        (b"/dev/tty", 5, 0, 0o666),
    ];
    for &(path, major, minor, mode) in NODES {
        files.make_node(DirFd::CWD, path, New { mode: S_IFCHR | mode, rdev: makedev(major, minor), target: &[] })?;
    }
    console::set_node(files.lookup(DirFd::CWD, b"/dev/console", false)?);
    const LINKS: &[(&[u8], &[u8])] = &[
        (b"/proc/self/fd", b"/dev/fd"),
        (b"/proc/self/fd/0", b"/dev/stdin"),
        (b"/proc/self/fd/1", b"/dev/stdout"),
        (b"/proc/self/fd/2", b"/dev/stderr"),
    ];
    for (target, path) in LINKS {
        files.symlink(target, DirFd::CWD, path)?;
    }
    dir(files, b"/dev/shm", 0o1777)
}
