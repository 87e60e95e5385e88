//! POSIX message queues (mq_overview(7)): names in a file system of their own, which is mounted at `/dev/mqueue`.

mod fs;
mod notify;
mod queue;
mod settings;

pub use notify::{COOKIE, Notice};
pub use queue::Message;
pub use settings::{Attributes, PRIORITIES};

use crate::timer::wall::When;
use alloc::sync::Arc;
use fs::{Directory, QueueFile};
use libos_base::abi::{Fd, OpenFlags};
use libos_base::file::{FileLike, downcast_arc};
use libos_base::sync::Once;
use libos_base::{Errno, Result};
use libos_fs::dentry::Path;
use libos_fs::mount::{self, Mount};
use libos_fs::{Files, files, root};

#[cfg(unibody_kernel)]
crate::component!("mqueue", wanted by [mq_open], starts start);

/// The mounted file system.
static MOUNT: Once<Arc<Mount>> = Once::new();

extern "C" fn start() {
    root::ALSO.provide(&(mount as fn(&Files) -> Result<()>));
    settings::show();
}

fn mount(files: &Files) -> Result<()> {
    let on = root::folder(files, b"/dev/mqueue")?;
    let made = mount::mount(on, Directory::root()?, "mqueue", false)?;
    MOUNT.set(|| made);
    Ok(())
}

/// The directory of all queues.
fn directory() -> Result<Path> {
    files().root()?;
    let mount = MOUNT.get().ok_or(Errno::ENOSYS)?.clone();
    Ok(Path { dentry: mount.root.clone(), mount })
}

/// `mq_open`. `wanted`: the attributes of a queue that is created.
pub fn open(name: &[u8], flags: OpenFlags, mode: u32, wanted: Option<Attributes>) -> Result<Fd> {
    let fd = files().fds.reserve()?;
    let dir = directory()?;
    let make = |mode| Directory::of(&dir)?.make(mode, wanted);
    let file = files().open_within(&dir, name, flags, mode, make)?;
    // As on Linux, whatever the flags say.
    Ok(fd.install(file, true))
}

/// `mq_unlink`.
pub fn unlink(name: &[u8]) -> Result<()> {
    files().unlink_within(&directory()?, name)
}

/// An open queue.
pub struct Open(Arc<QueueFile>);

impl Open {
    /// The queue behind a descriptor; EBADF if it is something else.
    pub fn find(fd: Fd) -> Result<Self> {
        downcast_arc(files().fds.get(fd)?).map(Self).ok_or(Errno::EBADF)
    }
    fn may(&self, access: bool) -> Result<()> {
        if access { Ok(()) } else { Err(Errno::EBADF) }
    }
    /// EBADF unless it may be written; EMSGSIZE if a message of this length is too long.
    pub fn takes(&self, len: usize) -> Result<()> {
        self.may(self.0.flags().writable())?;
        if len > self.0.queue().most() { Err(Errno::EMSGSIZE) } else { Ok(()) }
    }
    /// EBADF unless it may be read; EMSGSIZE if a message may not fit into `len` bytes.
    pub fn gives(&self, len: usize) -> Result<()> {
        self.may(self.0.flags().readable())?;
        if len < self.0.queue().most() { Err(Errno::EMSGSIZE) } else { Ok(()) }
    }
    /// Sends. EAGAIN, ETIMEDOUT, ERESTARTSYS.
    pub fn send(&self, message: Message, until: When) -> Result<()> {
        self.0.queue().send(message, self.0.description().nonblock(), until)
    }
    /// Receives. EAGAIN, ETIMEDOUT, ERESTARTSYS.
    pub fn receive(&self, until: When) -> Result<Message> {
        self.0.queue().receive(self.0.description().nonblock(), until)
    }
    /// Registers the process for a notification; `None`: no longer. EBUSY.
    pub fn notify(&self, notice: Option<Notice>) -> Result<()> {
        self.0.queue().notify(notice)
    }
    /// The attributes; whether O_NONBLOCK is set; how many messages there are.
    pub fn attributes(&self) -> (Attributes, bool, usize) {
        let queue = self.0.queue();
        (queue.attributes, self.0.description().nonblock(), queue.count())
    }
    /// Sets or clears O_NONBLOCK.
    pub fn set_nonblock(&self, on: bool) {
        self.0.description().set_nonblock(on);
        self.0.queue().touched();
    }
}
