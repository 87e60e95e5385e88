//! mkdir, link, unlink, rename, getdents.

use super::*;
use libos_base::abi::DirFd;

#[test]
fn links_count() {
    let p = files();
    put(&p, "/f", "shared");
    let from = p.lookup(DirFd::CWD, b"/f", false).unwrap();
    p.link(from.clone(), DirFd::CWD, b"/g").unwrap();
    assert_eq!((stat(&p, "/g").unwrap().ino, stat(&p, "/g").unwrap().nlink), (stat(&p, "/f").unwrap().ino, 2));
    assert_eq!(err(p.link(from, DirFd::CWD, b"/g")), Errno::EEXIST);
    unlink(&p, "/f").unwrap();
    assert_eq!(get(&p, "/g").unwrap(), "shared");
    let dir = p.lookup(DirFd::CWD, b"/etc", false).unwrap();
    assert_eq!(err(p.link(dir, DirFd::CWD, b"/h")), Errno::EPERM);
    let n = |path: &str| stat(&p, path).unwrap().nlink;
    let before = n("/tmp");
    mkdir(&p, "/tmp/sub");
    assert_eq!((n("/tmp"), n("/tmp/sub")), (before + 1, 2));
    rmdir(&p, "/tmp/sub").unwrap();
    assert_eq!(n("/tmp"), before);
}

#[test]
fn unlink_of_an_open_file() {
    let (p, fs) = small(1 << 20);
    let free = free_pages(&fs);
    put(&p, "/f", "still here");
    let f = open(&p, "/f", RW).unwrap();
    unlink(&p, "/f").unwrap();
    assert_eq!(err(stat(&p, "/f")), Errno::ENOENT);
    assert_eq!((read(&f, 20).unwrap(), f.stat().unwrap().nlink), (b"still here".to_vec(), 0));
    assert_eq!(f.describe(), "/f (deleted)");
    assert_eq!(free_pages(&fs), free - 1);
    drop(f);
    assert_eq!(free_pages(&fs), free);
}

#[test]
fn errors_of_unlink_and_rmdir() {
    let p = files();
    mkdir(&p, "/d");
    put(&p, "/d/f", "");
    assert_eq!(err(unlink(&p, "/d")), Errno::EISDIR);
    assert_eq!(err(unlink(&p, "/")), Errno::EISDIR);
    assert_eq!(err(unlink(&p, "/d/f/")), Errno::ENOTDIR);
    assert_eq!(err(rmdir(&p, "/d/f")), Errno::ENOTDIR);
    assert_eq!(err(rmdir(&p, "/d")), Errno::ENOTEMPTY);
    assert_eq!(err(rmdir(&p, "/d/.")), Errno::EINVAL);
    assert_eq!(err(rmdir(&p, "/d/..")), Errno::ENOTEMPTY);
    assert_eq!(err(rmdir(&p, "/")), Errno::EBUSY);
    assert_eq!(err(p.mkdir(DirFd::CWD, b"/d", 0)), Errno::EEXIST);
    assert_eq!(err(p.mkdir(DirFd::CWD, b"/", 0)), Errno::EEXIST);
    p.mkdir(DirFd::CWD, b"/slash/", 0o700).unwrap();
    assert_eq!(err(p.mknod(DirFd::CWD, b"/x/", 0o600, 0)), Errno::ENOENT);
}

#[test]
fn rename_of_files() {
    let p = files();
    put(&p, "/a", "a");
    put(&p, "/b", "b");
    let open_b = open(&p, "/b", RD).unwrap();
    rename(&p, "/a", "/b", NONE).unwrap();
    assert_eq!((get(&p, "/b").unwrap(), err(stat(&p, "/a"))), ("a".into(), Errno::ENOENT));
    assert_eq!((read(&open_b, 9).unwrap(), open_b.stat().unwrap().nlink), (b"b".to_vec(), 0));
    put(&p, "/a", "2");
    assert_eq!(err(rename(&p, "/a", "/b", RenameFlags::NOREPLACE)), Errno::EEXIST);
    rename(&p, "/a", "/c", RenameFlags::NOREPLACE).unwrap();
    rename(&p, "/b", "/c", RenameFlags::EXCHANGE).unwrap();
    assert_eq!((get(&p, "/b").unwrap(), get(&p, "/c").unwrap()), ("2".into(), "a".into()));
    assert_eq!(err(rename(&p, "/b", "/none", RenameFlags::EXCHANGE)), Errno::ENOENT);
    assert_eq!(err(rename(&p, "/b", "/c", RenameFlags::EXCHANGE | RenameFlags::NOREPLACE)), Errno::EINVAL);
    assert_eq!(err(rename(&p, "/b", "/c", RenameFlags::WHITEOUT)), Errno::EINVAL);
    assert_eq!(err(rename(&p, "/none", "/c", NONE)), Errno::ENOENT);
    assert_eq!(err(rename(&p, "/b", "/new/", NONE)), Errno::ENOTDIR);
    rename(&p, "/b", "/b", NONE).unwrap();
    // Two names of one file: both stay.
    p.link(p.lookup(DirFd::CWD, b"/b", false).unwrap(), DirFd::CWD, b"/b2").unwrap();
    rename(&p, "/b", "/b2", NONE).unwrap();
    assert_eq!(stat(&p, "/b").unwrap().nlink, 2);
}

#[test]
fn rename_of_directories() {
    let p = files();
    for d in ["/x", "/x/y", "/x/y/z", "/e", "/full"] {
        mkdir(&p, d);
    }
    put(&p, "/full/f", "");
    put(&p, "/file", "");
    p.chdir(b"/x/y/z").unwrap();
    assert_eq!(err(rename(&p, "/x", "/x/y/in", NONE)), Errno::EINVAL);
    assert_eq!(
        err(rename(&p, "/x", "/x", RenameFlags::EXCHANGE).and(rename(&p, "/x/y/z", "/x", NONE))),
        Errno::ENOTEMPTY
    );
    assert_eq!(err(rename(&p, "/x/y", "/full", NONE)), Errno::ENOTEMPTY);
    assert_eq!(err(rename(&p, "/x/y", "/file", NONE)), Errno::ENOTDIR);
    assert_eq!(err(rename(&p, "/file", "/e", NONE)), Errno::EISDIR);
    assert_eq!(err(rename(&p, "/x/.", "/q", NONE)), Errno::EBUSY);
    assert_eq!(err(rename(&p, "/x", "/x/y/z", RenameFlags::EXCHANGE)), Errno::EINVAL);
    rename(&p, "/x/y", "/e", NONE).unwrap();
    assert_eq!(p.getcwd().unwrap(), b"/e/z");
    assert_eq!((stat(&p, "/x").unwrap().nlink, stat(&p, "/e").unwrap().nlink), (2, 3));
    assert_eq!(list(&p, "/x", 4096), [".", ".."]);
    rename(&p, "/e/", "/moved/", NONE).unwrap();
    assert_eq!(p.getcwd().unwrap(), b"/moved/z");
    rename(&p, "/moved/z", "/file", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(p.getcwd().unwrap(), b"/file");
    assert_eq!(stat(&p, "/moved").unwrap().nlink, 2);
}

#[test]
fn directory_offsets_are_stable() {
    let p = files();
    mkdir(&p, "/d");
    for i in 0..300 {
        put(&p, &format!("/d/{i}"), "");
    }
    assert_eq!(list(&p, "/d", 64).len(), 302);
    let f = open(&p, "/d", RD).unwrap();
    let dir = f.downcast::<crate::openfile::OpenFile>().unwrap();
    assert_eq!(err(records(dir, 10)), Errno::EINVAL);
    let first = names_of(&records(dir, 1000).unwrap());
    let seen = first.len() - 2;
    // Listed names are removed, others are added: the rest is still listed exactly once.
    for i in 0..seen + 50 {
        unlink(&p, &format!("/d/{i}")).unwrap();
    }
    put(&p, "/d/late", "");
    let mut rest = Vec::new();
    loop {
        let r = records(dir, 300).unwrap();
        if r.is_empty() {
            break;
        }
        rest.extend(names_of(&r));
    }
    let want: Vec<String> = (seen + 50..300).map(|i| i.to_string()).chain(["late".into()]).collect();
    assert_eq!(rest, want);
    f.seek(0, libos_base::abi::Whence::SET).unwrap();
    assert_eq!(names_of(&records(dir, 100).unwrap())[..2], [".", ".."]);
    for n in want {
        unlink(&p, &format!("/d/{n}")).unwrap();
    }
    rmdir(&p, "/d").unwrap();
    assert_eq!(err(records(dir, 100)), Errno::ENOENT);
}

#[test]
fn renames_and_removals_race_without_deadlock() {
    let p = Arc::new(files());
    mkdir(&p, "/r");
    for d in ["/r/a", "/r/b", "/r/a/c"] {
        mkdir(&p, d);
    }
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let p = p.clone();
            std::thread::spawn(move || {
                for i in 0..2000 {
                    let _ = match (i + t) % 6 {
                        0 => rename(&p, "/r/a/c", "/r/b/c", NONE),
                        1 => rename(&p, "/r/b/c", "/r/a/c", NONE),
                        2 => rename(&p, "/r/a", "/r/b", RenameFlags::EXCHANGE),
                        3 => rmdir(&p, "/r/b/c").and_then(|()| p.mkdir(DirFd::CWD, b"/r/a/c", 0o777)),
                        4 => rename(&p, "/r/b", "/r/a/c/d", NONE),
                        _ => rename(&p, "/r/a/c/d", "/r/b", NONE),
                    };
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    list(&p, "/r", 4096);
}
