//! On the host the wall clock is the host's: only the arithmetic is built, for its tests.
#![allow(dead_code, reason = "nothing but the tests uses it")]

mod track;

/// Nothing to look at.
pub fn check() {}
