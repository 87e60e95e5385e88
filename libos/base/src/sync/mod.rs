//! Locks and wait queues. Raw `spin` types are banned elsewhere (clippy.toml): only these wrappers disable preemption,
//! and only these are checked.
//!
//! Every lock has a [`class`], and the classes form one list, which is the lock order of the whole kernel. Host builds
//! and the debug kernel check every lock that is taken ([`check`]); the release kernel knows nothing of classes.

#[cfg(debug_assertions)]
pub mod check;
#[cfg(not(debug_assertions))]
#[path = "unchecked.rs"]
pub mod check;
pub mod class;
mod level;
mod mutex;
mod once;
mod provider;
mod spin_lock;
mod wait;

pub use level::{Before, Leveled, May};
pub use mutex::{DEEPER, Mutex, MutexGuard};
pub use once::Once;
pub use provider::Provider;
pub use spin_lock::{IrqSpinLock, SpinLock};
pub use wait::WaitQueue;
