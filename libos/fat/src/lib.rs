//! FAT12, FAT16 and FAT32 volumes on block devices.
//!
//! | module | what |
//! |---|---|
//! | [`partition`] | where on a disk the volume is |
//! | [`volume`] | mounting, the volume's state |
//! | `inode` | files and directories as the VFS sees them |
//! | `object` | what is known of one of them |
//! | `content` | content of files, by runs of clusters |
//! | `changes` | creating, removing, renaming |
//! | `commit` | the order in which changes reach the disk |
//! | `check` | repairs after an unclean end |
//! | `dir`, `names`, `entry` | names in memory and on the disk |
//! | `table`, `buffers`, `geometry`, `io` | clusters, cached sectors, layout, transfers |
//! | `view` | the `fatfs` crate: decodes directories |
//!
//! What programs may rely on is in `docs/DISKS.md`.
#![cfg_attr(unibody_kernel, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod buffers;
mod changes;
mod check;
mod commit;
mod content;
mod dir;
mod entry;
mod geometry;
mod inode;
mod io;
mod names;
mod object;
pub mod partition;
mod table;
mod view;
pub mod volume;

#[cfg(test)]
mod tests;

pub use object::FatInode;
pub use volume::{Refused, Volume};
