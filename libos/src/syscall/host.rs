//! The host build's view of the table: its rows, from which `docs/SUPPORT.md` is made. The handlers are kernel code.

pub mod macros;
#[cfg(test)]
mod support_matrix;
pub mod table;
