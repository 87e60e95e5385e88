//! Disks: fsync's promises hold when power is lost, and when the disk is full, slow, failing or damaged.

mod damaged;
mod device;
pub mod drive;
mod failing;
mod flush;
mod fsx;
mod full;
pub mod image;
mod kill;
mod partitions;
mod power_cut;
mod random;
mod resume;
mod slow;
pub mod talk;
mod work;
pub mod write_log;

pub use image::clean;

use super::case::Case;

pub fn cases(all: &mut Vec<Case>, full: bool) {
    fsx::cases(all, full);
    device::cases(all);
    flush::cases(all);
    full::cases(all);
    power_cut::cases(all, full);
    kill::cases(all, full);
    failing::cases(all, full);
    damaged::cases(all, full);
    slow::cases(all, full);
    partitions::cases(all);
}
