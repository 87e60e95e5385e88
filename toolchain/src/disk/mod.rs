//! Disks: files that a VM takes for disks, with a FAT volume. Made, locked, opened for a VM, made larger.

mod create;
pub mod grow;
mod hold;
mod open;
mod volume;
mod wanted;

pub use create::create;
pub use open::{Disk, open_all};
pub use wanted::Wanted;
