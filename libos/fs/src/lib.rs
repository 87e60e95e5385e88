//! Files: everything behind a file descriptor that is not a socket.
//!
//! The parts, top down: [`Files`] is the process's file state (descriptors, root, working directory, umask) and offers
//! the path operations, which consult [`permission`] first; [`walk`](files) turns bytes into [`Path`]s over
//! [`Dentry`](dentry::Dentry) trees joined by mounts; [`Inode`](inode::Inode) is what a file system implements;
//! [`OpenFile`](openfile::OpenFile), pipes, eventfds and epolls are the [`FileLike`](libos_base::file::FileLike)
//! objects that descriptors refer to.
//!
//! From boot, only the descriptor table and the console are reachable: the root file system is built on the first call
//! that names a path ([`root`]), so a program that opens nothing does not link it.
//!
//! A page lookup for a fault takes none of the locks under which a read or write copies, so the copy may fault on a
//! mapping of the very file it works on (PROGRAM_MEMORY in the list of [`libos_base::sync::class`]).
#![cfg_attr(unibody_kernel, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
extern crate self as libos_fs;

pub mod cache;
pub mod console;
pub mod defaults;
pub mod dentry;
pub mod device;
mod dirents;
pub mod epoll;
pub mod eventfd;
pub mod fdtable;
pub mod files;
pub mod filesystem;
pub mod inode;
pub mod inotify;
pub mod kernel_info;
pub mod locks;
pub mod mount;
mod notify;
pub mod openfile;
pub mod permission;
pub mod pipe;
pub mod poll;
pub mod procfs;
mod program_file;
pub mod ramfs;
pub mod resolv_conf;
pub mod root;
pub mod splice;
pub mod sync;
pub mod time;
pub mod transfer;
pub mod tty;
pub mod util;
mod walked;

pub use dentry::Path;
pub use files::{Files, files};
pub use sync::sync_all;

#[cfg(test)]
mod tests;
