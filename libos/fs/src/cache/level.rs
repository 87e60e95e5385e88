//! Levels of the page cache's locks: what each function may still take, checked by the compiler.

use libos_base::sync::{self, Before};

/// No lock is held.
pub enum Free {}
/// A file's `writer` is held.
pub enum Writing {}
/// No `storing` is held: pages may be obtained, and written back to make room for them.
pub enum Filling {}
/// A file's `storing` is held: the only thing waited for is the storage.
pub enum Storing {}

impl Before<Writing> for Free {}
impl Before<Filling> for Free {}
impl Before<Filling> for Writing {}
impl Before<Storing> for Filling {}

/// The level of most of the page cache.
pub type May<'a> = sync::May<'a, Filling>;

/// Entry from outside to read or to write back.
pub fn filling() -> May<'static> {
    May::begin()
}
