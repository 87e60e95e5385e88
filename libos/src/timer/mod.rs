//! The program's timers and times: POSIX and interval timers, timerfd, processor time, the wall clock and waits for it.
//! They are set by [`sched::timer`](crate::sched::timer).
//! Floor: time.

pub mod cpu_clock;
pub mod cpu_interval;
#[cfg(unibody_kernel)]
pub mod cpu_limit;
pub mod interval;
pub mod posix;
#[cfg(unibody_kernel)]
pub mod real_time_limit;
mod setting;
pub mod ticket;
pub mod timerfd;
pub mod wall;
#[cfg(unibody_kernel)]
pub mod wallclock;
#[cfg(not(unibody_kernel))]
#[path = "wallclock/host.rs"]
pub mod wallclock;
#[cfg(unibody_kernel)]
mod watch;

pub use crate::sched::timer::{Expire, Timer, owned};
pub use setting::Setting;
