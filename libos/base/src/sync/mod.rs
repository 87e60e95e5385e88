//! Locks and wait queues. Raw `spin` types are banned elsewhere (clippy.toml): only these wrappers disable
//! preemption, and only these are checked for order.

mod mutex;
mod once;
mod order;
mod provider;
mod spin_lock;
mod wait;

pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use order::Rank;
pub use provider::Provider;
pub use spin_lock::{IrqGuard, IrqSpinLock, SpinGuard, SpinLock};
pub use wait::WaitQueue;
