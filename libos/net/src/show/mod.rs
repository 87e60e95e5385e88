//! What `/proc/net` shows (proc(5)), in Linux's formats: of sockets in `sockets`, of interfaces, addresses, routes,
//! neighbors and groups in `links`.

pub mod links;
pub mod sockets;

use crate::socket::Socket;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;
use smoltcp::wire::IpAddress;

/// The sockets that the program has open, each once.
pub type Open = Vec<Arc<Socket>>;

/// Ends a line that Linux fills with blanks (seq_setwidth()).
fn end_line(out: &mut String, from: usize, width: usize) {
    while out.len() - from < width {
        out.push(' ');
    }
    out.push('\n');
}

/// An address as the kernel has it in memory: words in the machine's order.
fn words(out: &mut String, a: &IpAddress, v6: bool) {
    let mut put = |b: &[u8]| {
        for w in b.chunks_exact(4) {
            let _ = write!(out, "{:08X}", u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
        }
    };
    match a {
        IpAddress::Ipv4(a) if !v6 => put(&a.octets()),
        IpAddress::Ipv4(a) if a.is_unspecified() => put(&[0; 16]),
        IpAddress::Ipv4(a) => put(&a.to_ipv6_mapped().octets()),
        IpAddress::Ipv6(a) => put(&a.octets()),
    }
}
