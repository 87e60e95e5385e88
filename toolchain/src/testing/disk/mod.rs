//! Disks: what fsync promises holds when the power goes, when the disk is full, slow, failing or damaged.

mod drive;
mod fsx;
mod image;
mod random;
mod talk;
mod write_log;

pub use image::PROGRAMS;

use super::case::Case;

/// All of them.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    fsx::cases(all, full);
}
