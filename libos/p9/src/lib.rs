//! Folders of the host, by the 9P2000.L protocol (Linux: Documentation/filesystems/9p.rst; diod: protocol.md).
//!
//! | module | what |
//! |---|---|
//! | `wire` | messages as bytes |
//! | `client` | one call for each message; fids |
//! | `fs` | the file system: objects by their number on the host |
//! | `inode` | files and directories as the VFS sees them |
//! | `object` | what is known of one of them |
//! | `content` | reading and writing through the page cache |
//! | `kept` | the fid of a file that was closed, for the next `open` |
//! | `tail` | small writes that follow each other |
//! | `listing` | directories |
//!
//! **Coherence.** Reads come from the page cache, which is compared with the host's file at every `open`
//! (close-to-open: version, size, times). Names are looked up on the host at every walk. Descriptors that only append
//! are opened for appending on the host, too, so that neither side overwrites what the other has appended. Writes go
//! through: when `write` returns, the host has the bytes, and errors (ENOSPC, EDQUOT, EACCES...) belong to the call
//! that caused them. Two kinds are delayed: small writes that follow another one within milliseconds, until `close`,
//! `fsync` or some milliseconds later ([`tail`]), and pages written through a shared mapping, until `msync`, `fsync` or
//! the background. A VM that is killed loses the last of these.
//!
//! **Numbers of files.** An object is identified by the server's `qid.path`; two names of one file are one object, so
//! locks and pages are shared between them. The server's fids may be mere paths (QEMU's are), so a file that lost its
//! last name is never named to the server again; requests about it are answered here as far as possible ([`object`]).
//!
//! Replies are not trusted: lengths and names are checked; a bad one is EIO.
#![cfg_attr(unibody_kernel, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod client;
mod content;
mod fs;
mod inode;
mod kept;
mod listing;
mod object;
mod owner;
mod tail;
#[cfg(test)]
mod tests;
mod wire;

pub use fs::attach;
