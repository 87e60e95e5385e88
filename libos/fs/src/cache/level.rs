//! Levels of the page cache's locks: what each function may still take, for the compiler to see.

use libos_base::sync::{self, Before};

/// Nothing is held.
pub enum Free {}
/// A file's `writer` is held.
pub enum Writing {}
/// No `storing` is held: pages may be got, and written back to make room for them.
pub enum Filling {}
/// A file's `storing` is held: nothing is waited for but the storage.
pub enum Storing {}

impl Before<Writing> for Free {}
impl Before<Filling> for Free {}
impl Before<Filling> for Writing {}
impl Before<Storing> for Filling {}

/// What most of the page cache is at.
pub type May<'a> = sync::May<'a, Filling>;

/// Entered from outside to read, or to write back.
pub fn filling() -> May<'static> {
    May::begin()
}
