//! Pathname resolution.

use super::*;
use libos_base::abi::DirFd;

#[test]
fn dots_slashes_and_missing_things() {
    let p = files();
    mkdir(&p, "/a");
    mkdir(&p, "/a/b");
    put(&p, "/a/f", "x");
    assert_eq!(get(&p, "//a/.././a/b/..//f").unwrap(), "x");
    assert_eq!(get(&p, "/../../a/f").unwrap(), "x");
    assert_eq!(err(get(&p, "")), Errno::ENOENT);
    assert_eq!(err(get(&p, "/a/f/")), Errno::ENOTDIR);
    assert_eq!(err(get(&p, "/a/f/..")), Errno::ENOTDIR);
    assert_eq!(err(get(&p, "/a/none/f")), Errno::ENOENT);
    assert_eq!(err(get(&p, &format!("/{}", "n".repeat(256)))), Errno::ENAMETOOLONG);
    assert_eq!(err(get(&p, &"/a".repeat(2048))), Errno::ENAMETOOLONG);
    put(&p, &format!("/{}", "n".repeat(255)), "");
    p.chdir(b"/a/b").unwrap();
    assert_eq!(get(&p, "../f").unwrap(), "x");
    assert_eq!(p.getcwd().unwrap(), b"/a/b");
    assert_eq!(err(p.chdir(b"../f")), Errno::ENOTDIR);
    p.chdir(b"/").unwrap();
    rmdir(&p, "/a/b").unwrap();
    assert_eq!(p.getcwd().unwrap(), b"/");
}

#[test]
fn removed_working_directory() {
    let p = files();
    mkdir(&p, "/gone");
    p.chdir(b"/gone").unwrap();
    rmdir(&p, "/gone").unwrap();
    assert_eq!(err(p.getcwd()), Errno::ENOENT);
    assert_eq!(err(open(&p, "new", create())), Errno::ENOENT);
    assert_eq!(err(p.mkdir(DirFd::CWD, b"d", 0o777)), Errno::ENOENT);
    p.chdir(b"..").unwrap();
    assert_eq!(p.getcwd().unwrap(), b"/");
}

#[test]
fn symbolic_links() {
    let p = files();
    mkdir(&p, "/d");
    put(&p, "/d/f", "deep");
    symlink(&p, "d", "/rel");
    symlink(&p, "/d/f", "/d/abs");
    symlink(&p, "../rel/f", "/d/up");
    symlink(&p, "nowhere", "/dangling");
    symlink(&p, "loop", "/loop");
    assert_eq!(get(&p, "/rel/f").unwrap(), "deep");
    assert_eq!(get(&p, "/rel/abs").unwrap(), "deep");
    assert_eq!(get(&p, "/d/up").unwrap(), "deep");
    assert_eq!(err(get(&p, "/dangling")), Errno::ENOENT);
    assert_eq!(err(get(&p, "/loop")), Errno::ELOOP);
    assert_eq!(p.readlink(DirFd::CWD, b"/rel").unwrap(), b"d");
    assert_eq!(err(p.readlink(DirFd::CWD, b"/d")), Errno::EINVAL);
    assert_eq!(stat(&p, "/rel").unwrap().size, 1);
    // A slash after a link follows it; after a link to a file it is an error.
    assert_eq!(p.stat(DirFd::CWD, b"/rel/", AtFlags::SYMLINK_NOFOLLOW).unwrap().mode & 0o170000, S_IFDIR);
    assert_eq!(err(stat(&p, "/d/abs/")), Errno::ENOTDIR);
    assert_eq!(err(open(&p, "/d/abs", OpenFlags::NOFOLLOW)), Errno::ELOOP);
    assert_eq!(err(open(&p, "/dangling", create() | OpenFlags::EXCL)), Errno::EEXIST);
    // O_CREAT through a dangling link creates its target.
    write(&open(&p, "/dangling", create()).unwrap(), b"made").unwrap();
    assert_eq!(get(&p, "/nowhere").unwrap(), "made");
    // Forty links are too many; thirty-nine and the file are not.
    put(&p, "/l0", "end");
    for i in 1..=41 {
        symlink(&p, &format!("/l{}", i - 1), &format!("/l{i}"));
    }
    assert_eq!(get(&p, "/l40").unwrap(), "end");
    assert_eq!(err(get(&p, "/l41")), Errno::ELOOP);
}

#[test]
fn open_flags() {
    let p = files();
    mkdir(&p, "/d");
    put(&p, "/f", "text");
    assert_eq!(err(open(&p, "/d", RW)), Errno::EISDIR);
    assert_eq!(err(open(&p, "/d", OpenFlags::CREAT)), Errno::EISDIR);
    assert_eq!(err(open(&p, "/", create() | OpenFlags::EXCL)), Errno::EEXIST);
    assert_eq!(err(open(&p, "/f", OpenFlags::DIRECTORY)), Errno::ENOTDIR);
    assert_eq!(err(open(&p, "/f", create() | OpenFlags::EXCL)), Errno::EEXIST);
    assert_eq!(err(open(&p, "/new/", create())), Errno::EISDIR);
    assert_eq!(err(open(&p, "/f", OpenFlags::DIRECT)), Errno::EINVAL);
    open(&p, "/f", OpenFlags::WRONLY | OpenFlags::TRUNC).unwrap();
    assert_eq!(stat(&p, "/f").unwrap().size, 0);
    p.set_umask(0o027);
    open(&p, "/m", create()).unwrap();
    assert_eq!(stat(&p, "/m").unwrap().mode, 0o100640);
    // The access mode belongs to the descriptor.
    let fd = p.open_fd(DirFd::CWD, b"/f", how(OpenFlags::WRONLY)).unwrap();
    assert_eq!(err(p.fds.readable(fd)), Errno::EBADF);
    p.fds.writable(fd).unwrap();
    // O_PATH: fstat works, nothing else does.
    let fd = p.open_fd(DirFd::CWD, b"/d", how(OpenFlags::PATH)).unwrap();
    assert_eq!(err(p.fds.get(fd)), Errno::EBADF);
    assert_eq!(p.fds.get_any(fd).unwrap().stat().unwrap().mode & 0o170000, S_IFDIR);
    put(&p, "/d/x", "below");
    let f = p.open(fd.into(), b"x", RD, 0).unwrap();
    assert_eq!(read(&f, 10).unwrap(), b"below");
    let file = p.open_fd(DirFd::CWD, b"/f", how(RD)).unwrap();
    assert_eq!(err(p.open(file.into(), b"x", RD, 0)), Errno::ENOTDIR);
    assert_eq!(err(p.open(DirFd(99), b"x", RD, 0)), Errno::EBADF);
}

#[test]
fn temporary_files() {
    let p = files();
    let f = open(&p, "/tmp", RW | OpenFlags::TMPFILE).unwrap();
    write(&f, b"unnamed").unwrap();
    assert_eq!(f.stat().unwrap().nlink, 0);
    assert_eq!(list(&p, "/tmp", 4096), [".", ".."]);
    assert_eq!(err(open(&p, "/tmp", OpenFlags::TMPFILE)), Errno::EINVAL);
    let fd = p.fds.add(f, false).unwrap();
    p.link(p.lookup_at(fd.into(), b"", true, true).unwrap(), DirFd::CWD, b"/tmp/named").unwrap();
    assert_eq!(get(&p, "/tmp/named").unwrap(), "unnamed");
    let f = open(&p, "/tmp", RW | OpenFlags::TMPFILE | OpenFlags::EXCL).unwrap();
    let fd = p.fds.add(f, false).unwrap();
    assert_eq!(err(p.link(p.path_of(fd).unwrap(), DirFd::CWD, b"/tmp/no")), Errno::ENOENT);
}

#[test]
fn mounts_and_chroot() {
    let p = files();
    let dev = |path: &str| stat(&p, path).unwrap().dev;
    assert_ne!(dev("/dev"), dev("/"));
    assert_eq!(dev("/dev/.."), dev("/"));
    p.chdir(b"/dev/shm").unwrap();
    assert_eq!(p.getcwd().unwrap(), b"/dev/shm");
    assert_eq!(get(&p, "../../etc/hostname").unwrap(), "unibody\n");
    assert_eq!(err(rmdir(&p, "/dev")), Errno::EBUSY);
    assert_eq!(err(rename(&p, "/dev", "/dev2", NONE)), Errno::EBUSY);
    put(&p, "/dev/shm/x", "");
    assert_eq!(err(rename(&p, "/dev/shm/x", "/x", NONE)), Errno::EXDEV);
    mkdir(&p, "/jail");
    put(&p, "/jail/f", "inside");
    p.chroot(b"/jail").unwrap();
    assert_eq!(get(&p, "/../f").unwrap(), "inside");
    assert_eq!(p.getcwd().unwrap(), b"(unreachable)/dev/shm");
}

#[test]
fn remembered_walks_follow_changes() {
    let p = files();
    mkdir(&p, "/d");
    mkdir(&p, "/d/e");
    put(&p, "/d/e/f", "first");
    put(&p, "/d/g", "second");
    let again = |expected: Result<&str>| {
        for _ in 0..3 {
            assert_eq!(get(&p, "/d/e/f").as_deref().map_err(|&e| e), expected);
        }
    };
    again(Ok("first"));
    rename(&p, "/d/g", "/d/e/f", NONE).unwrap();
    again(Ok("second"));
    rename(&p, "/d/e", "/d/h", NONE).unwrap();
    again(Err(Errno::ENOENT));
    put(&p, "/other", "third");
    mkdir(&p, "/d/e");
    p.link(p.lookup(DirFd::CWD, b"/other", true).unwrap(), DirFd::CWD, b"/d/e/f").unwrap();
    again(Ok("third"));
    rename(&p, "/d/e", "/d/h", RenameFlags::EXCHANGE).unwrap();
    again(Ok("second"));
    unlink(&p, "/d/e/f").unwrap();
    again(Err(Errno::ENOENT));
    symlink(&p, "../h/f", "/d/e/f");
    again(Ok("third"));
    unlink(&p, "/d/e/f").unwrap();
    put(&p, "/d/e/f", "fourth");
    again(Ok("fourth"));
    // A file system that is mounted over a directory on the way, and one below another root.
    let over = p.lookup(DirFd::CWD, b"/d/e", true).unwrap();
    crate::mount::mount(over, crate::root::new_ramfs("over", 0o755).unwrap(), "none", false).unwrap();
    again(Err(Errno::ENOENT));
    put(&p, "/d/e/f", "fifth");
    again(Ok("fifth"));
    mkdir(&p, "/jail");
    mkdir(&p, "/jail/d");
    mkdir(&p, "/jail/d/e");
    put(&p, "/jail/d/e/f", "sixth");
    p.chroot(b"/jail").unwrap();
    again(Ok("sixth"));
    assert!(stat(&p, "/d/e/").unwrap().mode & 0o170000 == S_IFDIR && err(stat(&p, "/d/e/f/")) == Errno::ENOTDIR);
}
