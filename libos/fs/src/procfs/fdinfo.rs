//! `/proc/self/fdinfo/N`: position and flags of an open file, and what some kinds of files have besides (proc_pid_fdinfo(5)).

use crate::epoll::Epoll;
use crate::eventfd::EventFd;
use crate::files::files;
use crate::openfile::{OpenFile, path_of};
use crate::util::Text;
use alloc::vec::Vec;
use libos_base::abi::{Fd, OpenFlags};
use libos_base::{Errno, Result};

pub(super) fn text(fd: Fd) -> Result<Vec<u8>> {
    let gone = |_| Errno::ENOENT;
    let file = files().fds.get_any(fd).map_err(gone)?;
    let pos = file.downcast::<OpenFile>().map_or(0, |f| *f.position().lock());
    let mut flags = file.flags().bits();
    if files().fds.cloexec(fd).map_err(gone)? {
        flags |= OpenFlags::CLOEXEC.bits();
    }
    let mount = path_of(&*file).map_or(0, |p| crate::mount::number(&p.mount));
    let t = Text::new().s("pos:\t").n(pos).s("\nflags:\t0").octal(flags.into()).s("\nmnt_id:\t").n(mount);
    let t = t.s("\nino:\t").n(file.stat()?.ino).s("\n");
    if let Some(counter) = file.downcast::<EventFd>() {
        return Ok(counter.describe_state(t).0);
    }
    if let Some(epoll) = file.downcast::<Epoll>() {
        return Ok(epoll.describe_items(t).0);
    }
    Ok(t.0)
}
