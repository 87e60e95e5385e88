//! Interprocess communication, of which threads of one process make use, too: POSIX message queues, and System V's
//! shared memory, semaphores and message queues.
//! Floor: parts.
//!
//! Each family is linked only into programs that call it.

pub mod mqueue;
pub mod sysv;
