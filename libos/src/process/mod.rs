//! The one process: its parts, and where they are.
//! Floor: parts.
//!
//! Each part lies where its users can reach it, and is linked only if something uses it; what the handlers of
//! system calls change in several of them, they change through [`process`].
//!
//! | what | where |
//! |---|---|
//! | credentials | [`libos_base::cred`]; how they change: [`setid`], [`capset`] |
//! | resource limits | [`libos_base::limits`] |
//! | descriptors, working directory, root, umask | [`libos_fs::files`] |
//! | actions and pending signals | [`crate::signal`] |
//! | image: arguments, environment, auxiliary vector | [`image`] |

pub mod capset;
#[cfg(unibody_kernel)]
pub mod image;
pub mod setid;

use libos_base::Result;
use libos_base::abi::SigAction;
use libos_base::cred::{self, Credentials};
use libos_base::limits::{self, Limit};
use unibody_proto::rlimit::Rlimit;

/// See the module.
pub struct Process(());

/// The process.
pub const fn process() -> Process {
    Process(())
}

/// Sets the resource limits with which the program starts: those that boot parameters name, and enough descriptors for
/// the memory there is.
pub fn limit(asked: &[alloc::vec::Vec<u8>]) {
    limits::NOFILE.set_soft(libos_fs::fdtable::usual_limit());
    for text in asked {
        let set = Rlimit::parse(text).is_some_and(|l| limits::set(l.which, l.soft, l.hard).is_ok());
        if !set {
            libos_base::warn!("rlimit={} is not a limit", libos_base::user::lossy(text));
        }
    }
}

impl Process {
    /// Changes the credentials in one step. From the first change on, file accesses are checked against them.
    pub fn change_credentials<R>(&self, f: impl FnOnce(&mut Credentials) -> Result<R>) -> Result<R> {
        libos_fs::permission::enforce()?;
        cred::change(f)
    }
    /// The limit with that number; EINVAL.
    pub fn limit(&self, which: u32) -> Result<&'static Limit> {
        limits::get(which)
    }
    /// What is done about a signal, and what shall be from now on.
    pub fn set_action(&self, signo: i32, new: Option<SigAction>) -> SigAction {
        crate::signal::set_action(signo, new)
    }
}
