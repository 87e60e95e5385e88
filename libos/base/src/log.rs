//! The kernel log. It never mixes with program output (see `docs/ARCHITECTURE.md`, streams).

/// Severity; a line is shown when its level is at or above the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something was lost or is broken.
    Error = 0,
    /// The user should know.
    Warn = 1,
    /// Milestones.
    Info = 2,
    /// For kernel developers.
    Debug = 3,
}

#[doc(hidden)]
pub use crate::upcall::log as emit;

/// Logs at [`Level::Error`].
#[macro_export]
macro_rules! error { ($($a:tt)*) => { $crate::log::emit($crate::log::Level::Error, format_args!($($a)*)) }; }
/// Logs at [`Level::Warn`].
#[macro_export]
macro_rules! warn { ($($a:tt)*) => { $crate::log::emit($crate::log::Level::Warn, format_args!($($a)*)) }; }
/// Logs at [`Level::Info`].
#[macro_export]
macro_rules! info { ($($a:tt)*) => { $crate::log::emit($crate::log::Level::Info, format_args!($($a)*)) }; }
/// Logs at [`Level::Debug`]; compiled out of release kernels.
#[macro_export]
macro_rules! debug {
    ($($a:tt)*) => { if cfg!(debug_assertions) { $crate::log::emit($crate::log::Level::Debug, format_args!($($a)*)) } };
}
