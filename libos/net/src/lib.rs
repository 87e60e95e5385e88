//! Sockets, and a stack whose packet cost does not depend on the number of connections: addresses, routes, neighbors,
//! TCP's listening sockets and connections, UDP, AF_UNIX, DHCP, loopback.
#![cfg_attr(unibody_kernel, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod addr;
mod batch;
mod build;
pub mod config;
pub mod device;
pub mod errqueue;
mod frame;
pub mod ifreq;
mod ipopts;
pub mod multicast;
pub mod net;
pub mod netlink;
pub mod options;
pub mod packet;
mod phy;
pub mod raw;
mod reassembly;
mod rtnetlink;
pub mod show;
pub mod sleeper;
pub mod socket;
mod sockopts;
mod stack;
mod table;
pub mod tcp;
mod transfer;
pub mod udp;
pub mod unix;
