//! redis in a VM, driven by its own clients: it answers as the same image does as a Linux process; what it has promised
//! to keep is on the disk; load; its own test suite.

mod clients;
mod commands;
mod load;
mod persistence;
mod power_cut;
mod server;
mod suite;

use super::case::{Case, Need};

pub fn cases(all: &mut Vec<Case>, full: bool) {
    // The first case builds the image.
    const BUILD: u64 = 1200;
    const NEEDS: &[Need] = &[Need::Toolchain, Need::RedisClients];
    const DISK: &[Need] = &[Need::Toolchain, Need::RedisClients, Need::Disk];
    const SUITE: &[Need] = &[Need::Toolchain, Need::RedisClients, Need::Tcl];
    all.push(Case::new("redis/commands", commands::compare).needs(NEEDS).limit(BUILD));
    all.push(Case::new("redis/as-it-comes", clients::as_it_comes).needs(NEEDS).limit(BUILD));
    all.push(Case::new("redis/subscribe-and-block", clients::subscribe_and_block).needs(NEEDS).limit(BUILD));
    all.push(Case::new("redis/append-only", persistence::append_only).needs(DISK).limit(BUILD));
    all.push(Case::new("redis/background", persistence::background).needs(NEEDS).limit(BUILD));
    all.push(Case::new("redis/power-cut", power_cut::power_cut).needs(DISK).limit(if full { 3600 } else { BUILD }));
    all.push(Case::new("redis/load", load::load).needs(NEEDS).limit(BUILD).alone());
    all.push(Case::new("redis/suite-short", suite::short).needs(SUITE).limit(BUILD));
    if full {
        all.push(Case::new("redis/suite", suite::full).needs(SUITE).limit(2 * 3600).alone());
    }
}
