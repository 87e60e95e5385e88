//! The process that becomes the program: it creates the namespaces, enters the root and executes the image. It has a
//! fresh process to itself, because only a process with a single thread can create a user namespace.

use crate::run::share::{Share, mount_point};
use crate::run::ulimit;
use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, fexecve, getgid, getuid, pivot_root};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// Name of the hidden command: `ROOT IMAGE CWD SHARES [DIR PATH ro|rw]... LIMITS [LIMIT]... ARGV0 [ARGS...]`, run with
/// the program's environment. SHARES and LIMITS are numbers.
pub const COMMAND: &str = "enter-root";

/// Name of the hidden command that only tests whether namespaces can be created.
pub const PROBE: &str = "probe-namespaces";

const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// An argument of mount(2) that the kind of mount has no use for.
const NONE: Option<&str> = None;

/// Reads the arguments, enters and executes; returns only on failure. `None`: the arguments are malformed.
pub fn run(mut args: impl Iterator<Item = OsString>) -> Option<Result<u8>> {
    let [root, image, cwd, count] = [args.next()?, args.next()?, args.next()?, args.next()?];
    let mut shares = Vec::new();
    for _ in 0..count.to_str()?.parse().ok()? {
        shares.push(Share { dir: args.next()?, at: args.next()?, read_only: args.next()? == "ro" });
    }
    let mut limits = Vec::new();
    for _ in 0..args.next()?.to_str()?.parse().ok()? {
        limits.push(args.next()?.into_string().ok()?);
    }
    Some(enter(root.as_ref(), image.as_ref(), cwd.as_ref(), &shares, &limits, args.collect()))
}

fn enter(
    root: &Path,
    image: &Path,
    cwd: &Path,
    shares: &[Share],
    limits: &[String],
    argv: Vec<OsString>,
) -> Result<u8> {
    // Opened before the root changes; the file need not be reachable afterwards.
    let program = File::open(image).with_context(|| format!("{}", image.display()))?;
    make_namespaces()?;
    populate(root).with_context(|| format!("cannot prepare {}", root.display()))?;
    for share in shares {
        show(share, root)?;
    }
    let own_name = show_program(image, root, argv.first().map_or("".as_ref(), OsString::as_os_str));
    let into = || -> nix::Result<()> {
        chdir(root)?;
        // pivot_root(2): the old root is stacked on the new one, so it can be unmounted at once.
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)
    };
    into().with_context(|| format!("cannot enter {}", root.display()))?;
    chdir(cwd).with_context(|| format!("-w {}: cannot go there", cwd.display()))?;
    let text = |text: OsString| CString::new(text.into_vec()).context("an argument holds a NUL byte");
    let argv = argv.into_iter().map(text).collect::<Result<Vec<_>>>()?;
    let env = std::env::vars_os().map(|(name, value)| text([name, value].join("=".as_ref())));
    let env = env.collect::<Result<Vec<_>>>()?;
    // Opened by its name inside the root, so that /proc/self/exe shows that name.
    let program = own_name.and_then(|name| File::open(name).ok()).unwrap_or(program);
    limits.iter().try_for_each(|limit| ulimit::apply(limit))?;
    let Err(error) = fexecve(&program, &argv, &env);
    ensure!(error != Errno::EACCES, "{} may not be executed: chmod +x it", image.display());
    Err(error).with_context(|| format!("cannot execute {}", image.display()))
}

/// A private mount namespace; without root that requires a user namespace, too.
pub fn make_namespaces() -> Result<()> {
    let (uid, gid) = (getuid(), getgid());
    if !uid.is_root() || unshare(CloneFlags::CLONE_NEWNS).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).context(
            "this system does not let ordinary users make namespaces (user.max_user_namespaces, \
             kernel.unprivileged_userns_clone or AppArmor); without --hosted's own root the image can be started directly",
        )?;
        // user_namespaces(7): setgroups has to be given up before an unprivileged process may map its group. User and
        // group stay what they are outside, so that files belong to the same owner in both worlds.
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).context("cannot make mounts private")
}

/// Mounts what the root needs of this machine.
fn populate(root: &Path) -> Result<()> {
    bind(root, root, MsFlags::empty())?;
    let dev = root.join("dev");
    for node in NODES {
        let target = dev.join(node);
        if target.symlink_metadata().is_err() {
            File::create(&target)?;
        }
        // /dev/tty and the like may be missing in a container; a program that needs one will say so.
        let _ = bind(&Path::new("/dev").join(node), &target, MsFlags::empty());
    }
    for (name, to) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        if dev.join(name).symlink_metadata().is_err() {
            symlink(to, dev.join(name))?;
        }
    }
    bind(&PathBuf::from("/proc"), &root.join("proc"), MsFlags::MS_REC)
}

/// Shows the image's file inside the root under the name that the kernel gives it in a VM, unless that name is taken;
/// returns the name.
fn show_program(image: &Path, root: &Path, argv0: &OsStr) -> Option<PathBuf> {
    let plain = |part: &Component| matches!(part, Component::Normal(_));
    let name: PathBuf = Path::new(argv0).components().filter(plain).collect();
    let target = root.join(&name);
    if name.as_os_str().is_empty() || target.symlink_metadata().is_ok() {
        return None;
    }
    fs::create_dir_all(target.parent()?).ok()?;
    File::create(&target).ok()?;
    bind(image, &target, MsFlags::empty()).ok()?;
    Some(Path::new("/").join(name))
}

/// Shows a folder of this machine inside the root.
fn show(share: &Share, root: &Path) -> Result<()> {
    let target = mount_point(root, share.at.as_ref())?;
    bind(share.dir.as_ref(), &target, MsFlags::MS_REC)?;
    if share.read_only {
        // In a user namespace a remount must keep the underlying mount's flags (mount_namespaces(7)).
        let has = statvfs(&target)?.flags();
        let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        for (fs, mount) in [
            (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
            (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
            (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
            (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
            (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
        ] {
            flags.set(mount, has.contains(fs));
        }
        mount(NONE, &target, NONE, flags, NONE)
            .with_context(|| format!("cannot make {} read-only", target.display()))?;
    }
    Ok(())
}

fn bind(from: &Path, to: &Path, flags: MsFlags) -> Result<()> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND | flags, NONE)
        .with_context(|| format!("cannot bind {} to {}", from.display(), to.display()))
}
