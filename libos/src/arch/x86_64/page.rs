//! Entries of four-level page tables (Intel SDM 3A, 4.5). All code runs in ring 0, so no entry has the user bit.

/// The entry is used by the processor.
pub const PRESENT: u64 = 1;
/// Writes are allowed.
pub const WRITE: u64 = 1 << 1;
/// Set by the processor; we set it up front, which saves the processor the locked cycle.
pub const ACCESSED: u64 = 1 << 5;
/// As `ACCESSED`.
pub const DIRTY: u64 = 1 << 6;
/// A page of [`LARGE_SIZE`] (second level).
pub const LARGE: u64 = 1 << 7;
/// Ours: the frame belongs to this mapping and is freed with it.
pub const OWNED: u64 = 1 << 9;
/// Ours: the direct map maps the frame read-only, because it is executable here.
pub const SEALED: u64 = 1 << 10;
/// No instruction fetches.
pub const NO_EXEC: u64 = 1 << 63;
/// The physical address.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Uncached, for device registers, under the PAT's reset value: no cache, write-through.
pub const UNCACHED: u64 = 1 << 4 | 1 << 3;

/// Bytes that one last-level table maps.
pub const LARGE_SIZE: usize = 2 << 20;
