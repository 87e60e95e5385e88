//! System V IPC (sysvipc(7)): shared memory, semaphores and message queues that are named by numbers.
//!
//! What the three have in common: [`ids`] gives objects their numbers and finds them by number and key, [`permission`]
//! says who may use them, and `proc` shows them in `/proc`.

mod ids;
pub mod msg;
mod permission;
mod proc;
pub mod sem;
pub mod shm;

pub use ids::Which;

/// Flags of the calls that make objects: linux/ipc.h.
pub const IPC_CREAT: u32 = 0o1000;
pub const IPC_EXCL: u32 = 0o2000;
/// The flag of the calls that wait.
pub const IPC_NOWAIT: u32 = 0o4000;

/// Whole seconds since 1970.
fn seconds() -> i64 {
    (libos_base::time::realtime_ns() / libos_base::time::NS) as i64
}
