//! What happens when a message arrives in an empty queue (mq_notify(3)).

use crate::signal::{self, Info, code};
use alloc::sync::Arc;
use libos_base::abi::{Fd, SigEventNotify, mode};
use libos_base::file::FileLike;
use libos_base::{Errno, Result};
use libos_fs::files;
use libos_net::netlink::COOKIES;

/// Length of the message for SIGEV_THREAD; its last byte says why it is sent (NOTIFY_COOKIE_LEN).
pub const COOKIE: usize = 32;
const WOKEN_UP: u8 = 1;
const REMOVED: u8 = 2;

/// How the process is notified, once.
pub enum Notice {
    /// Not at all, but nobody else is, either.
    Nothing,
    Signal {
        signo: i32,
        value: u64,
    },
    /// A message to a netlink socket, for which a thread of the C library waits.
    Thread {
        socket: Arc<dyn FileLike>,
        cookie: [u8; COOKIE],
    },
}

impl Notice {
    /// To the netlink socket `fd`. EBADF; ENOTSOCK, EINVAL: it is something else.
    pub fn thread(fd: Fd, cookie: [u8; COOKIE]) -> Result<Self> {
        let socket = files().fds.get(fd)?;
        if socket.stat()?.mode & mode::S_IFMT != mode::S_IFSOCK {
            return Err(Errno::ENOTSOCK);
        }
        (COOKIES.get().ok_or(Errno::EINVAL)?.takes)(&*socket)?;
        Ok(Self::Thread { socket, cookie })
    }

    /// What the queue's file shows: SIGEV_*, and the signal.
    pub fn shown(&self) -> (u32, i32) {
        match self {
            Self::Nothing => (SigEventNotify::NONE.0, 0),
            Self::Signal { signo, .. } => (SigEventNotify::SIGNAL.0, *signo),
            Self::Thread { .. } => (SigEventNotify::THREAD.0, 0),
        }
    }

    /// A message has come. With no lock held.
    pub fn send(self) {
        match self {
            // As on Linux, 0 is allowed and nothing is sent.
            Self::Nothing | Self::Signal { signo: 0, .. } => {}
            Self::Signal { signo, value } => {
                let info = Info { word24: value, ..Info::user(signo, code::MESGQ) };
                // One that finds no room in the queue of signals is lost.
                let _ = signal::post_process_info(info);
            }
            Self::Thread { .. } => self.tell(WOKEN_UP),
        }
    }

    /// Nothing will come: the process no longer wants to know. With no lock held.
    pub fn cancel(self) {
        self.tell(REMOVED);
    }

    fn tell(self, why: u8) {
        if let (Self::Thread { socket, mut cookie }, Some(cookies)) = (self, COOKIES.get()) {
            cookie[COOKIE - 1] = why;
            (cookies.deliver)(&*socket, &cookie);
        }
    }
}
