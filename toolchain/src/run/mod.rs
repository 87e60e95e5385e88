//! `unibody run`: from options to a VM, and its life until the end.

mod brought;
pub mod detach;
pub mod env;
mod event;
pub mod holder;
pub mod initrd;
pub mod last_words;
pub mod log;
pub mod net;
pub mod options;
pub mod prepare;
pub mod pump;
pub mod share;
pub mod signals;
pub mod start;
pub mod supervisor;
pub mod symbols;
pub mod terminal;
pub mod ulimit;
