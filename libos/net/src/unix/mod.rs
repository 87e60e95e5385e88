//! AF_UNIX: streams, datagrams, sequenced packets; path and abstract names; descriptors in flight.
//!
//! Each socket has a [`core::Core`] with its inbox; senders put packets into the receiver's inbox. Of two cores that
//! know each other, only one is locked at a time. Sockets refer to their peers weakly: the descriptor (or a listener's
//! queue) keeps a core alive.

mod core;
mod dgram;
mod name;
mod ops;
mod packet;
mod rights;
mod transfer;

pub use name::Host;
pub use ops::{UnixSocket, pair};
