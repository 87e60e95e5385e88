//! One TCP connection as a state machine without I/O (RFC 9293). It knows no addresses, no checksums and no clock: the
//! caller passes in what arrived and what time it is, asks for segments to send, and comes back at
//! [`Connection::next_deadline`]. The same calls give the same segments, so minutes of bad weather are tested in
//! milliseconds.
//!
//! | module | what |
//! |---|---|
//! | `seq`, `segment`, `options` | sequence numbers, segments, the options in their headers |
//! | `connection` | the state and the calls of a program: write, read, shut down, abort |
//! | `input` | a segment arrives: RFC 9293 section 3.10.7, RFC 5961 |
//! | `acknowledge` | what an acknowledgment says about what was sent |
//! | `output` | the next segment to send |
//! | `local` | data between two ends on one host, without segments |
//! | `timers` | deadlines: retransmission, probes, delayed acknowledgments, keep-alive, giving up |
//! | `send`, `receive` | the two halves: windows, what is held back, what is acknowledged when |
//! | `chunk`, `send_buffer`, `receive_buffer`, `short`, `ranges` | data: pages that come and go with it, and gaps |
//! | `flight` | what was sent and not acknowledged: the scoreboard of RFC 6675 |
//! | `rack`, `recovery` | which of that is lost (RFC 8985), and how fast to repair it (RFC 6937) |
//! | `rtt`, `congestion` | round-trip times (RFC 6298); the congestion window: CUBIC, Reno |
//!
//! **No timestamps** (RFC 7323). Each would take 12 of 1,460 bytes and the time to write and read it. Round-trip times
//! come from the time at which each segment was sent, which RACK keeps anyway; needless retransmissions are reported by
//! duplicate SACKs (RFC 2883). What remains is protection against old duplicates after a wrap of the sequence numbers:
//! with windows of at most 4 MiB, a segment would have to return after 4 GiB exactly into the window.
#![cfg_attr(unibody_kernel, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod acknowledge;
pub mod chunk;
pub mod congestion;
mod connection;
mod flight;
mod input;
mod local;
mod options;
mod output;
mod rack;
mod ranges;
mod receive;
mod receive_buffer;
mod recovery;
mod rtt;
mod segment;
mod send;
mod send_buffer;
mod seq;
mod short;
mod timers;

pub use chunk::Pool;
pub use connection::{Config, Connection, End, State};
pub use input::{PAUSE, Verdict};
pub use options::{Options, SynOptions};
pub use output::Transmit;
pub use segment::{ACK, FIN, PSH, RST, SYN, Segment};
pub use seq::Seq;
pub use timers::Limits;

/// Nanoseconds per millisecond and per second.
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1_000_000_000;
/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;
