//! The neighbors' Ethernet addresses. smoltcp's cache believes whichever ARP frame or advertisement came last, so one
//! forged frame for the gateway takes the whole network away. Here such frames are claims, and smoltcp learns of a
//! neighbor only when one is believed: an unknown neighbor's if we asked for it, a known one's new address if the old
//! one no longer answers. Also, smoltcp asks for one neighbor per second, whoever needs it; here each has its own
//! limit, so that one that does not answer delays nobody who wants another.

use super::Stack;
use super::interface::Interfaces;
use super::solicit::Mac;
use alloc::vec::Vec;
use libos_base::time::NS;
use smoltcp::wire::IpAddress;

/// Neighbors remembered: as many as smoltcp's cache holds.
const KNOWN: usize = 64;
/// Most of these that made themselves known by asking for us: the rest is for those that we ask for.
const TAUGHT: usize = 32;
/// Most requests remembered, and for how long an answer is welcome.
const ASKED: usize = 64;
const WELCOME: u64 = 3 * NS;
/// Requests to the old address when a new one is claimed, and the time for each. A gateway that was really replaced is
/// accepted in a second and a half.
const PROBES: u8 = 3;
const PROBE: u64 = 400_000_000;
/// Most connections that are released at once when a neighbor becomes known.
const WAITING: usize = 65536;
/// A neighbor that has answered is not probed again for this long.
const TRUST: u64 = NS;

struct Known {
    ip: IpAddress,
    mac: Mac,
    /// Unanswered requests to `mac`; 0: it is believed. More than [`PROBES`]: whoever answers the request to all will be.
    probes: u8,
    /// When the next request is due, or the earliest time for the first one.
    at: u64,
}

/// The way to a peer as last looked up.
#[derive(Clone, Copy, Default)]
pub struct Route {
    /// The version of the table that said so.
    version: u32,
    mac: Option<Mac>,
}

/// The neighbor table.
#[derive(Default)]
pub struct Neighbors {
    known: Vec<Known>,
    /// How often routes or neighbors have changed.
    version: u32,
    /// Whom we asked for, and when.
    asked: Vec<(IpAddress, u64)>,
    /// The entry of `asked` that was last reused.
    hand: usize,
    /// When the next request is due. 0: none.
    next_at: u64,
    /// Connections waiting for their next hop to be resolved.
    waiting: Vec<u32>,
}

impl Neighbors {
    /// Records that a connection is waiting for its next hop. Without memory it asks again in a second.
    pub fn wait(&mut self, id: u32) {
        if self.waiting.try_reserve(1).is_ok() && self.waiting.len() < WAITING {
            self.waiting.push(id);
        }
    }

    /// Forgets everything after our own address changed: it may be another network.
    pub fn forget(&mut self) {
        self.known.clear();
        self.rerouted();
    }

    /// Routes have changed: connections look theirs up again.
    pub fn rerouted(&mut self) {
        self.version = self.version.wrapping_add(1);
    }

    /// The Ethernet address to which packets for `to` go, if it is known. `route`: what the last look-up gave.
    pub fn way(&self, route: &mut Route, interfaces: &Interfaces, to: &IpAddress) -> Option<Mac> {
        if route.version != self.version || route.mac.is_none() {
            let hop = interfaces.next_hop(to);
            let known = hop.and_then(|hop| self.known.iter().find(|k| k.ip == hop));
            *route = Route { version: self.version, mac: known.map(|k| k.mac) };
        }
        route.mac
    }

    /// When [`Stack::run_neighbors`] is due.
    pub fn next(&self) -> u64 {
        if self.next_at == 0 { u64::MAX } else { self.next_at }
    }
}

impl Stack {
    /// Neighbors whose Ethernet addresses are known.
    pub fn known_neighbors(&self) -> Vec<(IpAddress, Mac)> {
        self.neighbors.known.iter().map(|k| (k.ip, k.mac)).collect()
    }

    /// Something is waiting for the way to `to`. `asked`: smoltcp has just sent the request.
    pub fn neighbor_needed(&mut self, to: &IpAddress, asked: bool) {
        let Some(hop) = self.interfaces.next_hop(to) else { return };
        let known = self.neighbors.asked.iter().any(|a| a.0 == hop && a.1 + NS > self.now);
        if !known && self.neighbor_asked(Some(hop)) && !asked {
            self.ask(&hop, None);
        }
    }

    /// A request for `hop` is out: answers are welcome. False without memory.
    pub fn neighbor_asked(&mut self, hop: Option<IpAddress>) -> bool {
        let (Some(hop), now) = (hop, self.now) else { return false };
        let asked = &mut self.neighbors.asked;
        if let Some(a) = asked.iter_mut().find(|a| a.0 == hop) {
            a.1 = now;
            return true;
        }
        if asked.len() < ASKED {
            let room = asked.try_reserve(1).is_ok();
            if room {
                asked.push((hop, now));
            }
            return room;
        }
        self.neighbors.hand = (self.neighbors.hand + 1) % ASKED;
        self.neighbors.asked[self.neighbors.hand] = (hop, now);
        true
    }

    /// Somebody claims that `ip` is at `mac`. `teaches`: by asking for us, which makes an unknown neighbor known.
    pub fn claim(&mut self, ip: IpAddress, mac: Mac, teaches: bool) {
        let now = self.now;
        let Neighbors { known, asked, next_at, .. } = &mut self.neighbors;
        match known.iter_mut().find(|k| k.ip == ip) {
            Some(k) if k.mac == mac => {
                if k.probes > 0 {
                    (k.probes, k.at) = (0, now + TRUST);
                }
            }
            Some(k) if k.probes <= PROBES => {
                if k.probes == 0 && now >= k.at {
                    (k.probes, k.at) = (1, now + PROBE);
                    *next_at = self.now;
                    let old = k.mac;
                    self.ask(&ip, Some(old));
                }
                return;
            }
            gone => {
                let welcome = asked.iter().any(|a| a.0 == ip && a.1 + WELCOME > now);
                if let Some(k) = gone {
                    if !(welcome || teaches) {
                        return;
                    }
                    *k = Known { ip, mac, probes: 0, at: now + TRUST };
                    self.neighbors.rerouted();
                    self.tell_smoltcp(&ip, mac);
                    return self.neighbors_changed();
                }
                if !(welcome || teaches && known.len() < TAUGHT) || known.try_reserve(1).is_err() {
                    return;
                }
                if known.len() == KNOWN {
                    let router = self.interfaces.eth.as_ref().and_then(|eth| eth.router(&ip));
                    let oldest = self.neighbors.known.iter().position(|k| Some(k.ip) != router).unwrap_or(0);
                    self.neighbors.known.remove(oldest);
                }
                self.neighbors.known.push(Known { ip, mac, probes: 0, at: 0 });
                self.neighbors.rerouted();
            }
        }
        self.tell_smoltcp(&ip, mac);
        self.neighbors_changed();
    }

    /// Something sent to `to` was retransmitted: checks whether its next hop is still there.
    pub fn neighbor_suspect(&mut self, to: &IpAddress) {
        let Some(hop) = self.interfaces.next_hop(to) else { return };
        let now = self.now;
        let known = self.neighbors.known.iter_mut().find(|k| k.ip == hop);
        let Some(k) = known.filter(|k| k.probes <= PROBES) else {
            self.neighbor_needed(&hop, false);
            return;
        };
        if k.probes == 0 && now >= k.at {
            (k.probes, k.at) = (1, now + PROBE);
            let mac = k.mac;
            self.neighbors.next_at = now;
            self.ask(&hop, Some(mac));
        }
    }

    /// Releases those waiting for a neighbor: smoltcp alone would look again only after a second.
    pub fn neighbors_changed(&mut self) {
        while let Some(id) = self.neighbors.waiting.pop() {
            self.connections.touch(id);
        }
        self.udp_neighbors_changed();
    }

    /// Asks again, or gives up on neighbors that do not answer: whoever answers the request to all is then believed.
    pub fn run_neighbors(&mut self) {
        let now = self.now;
        if now < self.neighbors.next() {
            return;
        }
        for i in 0..self.neighbors.known.len() {
            let k = &mut self.neighbors.known[i];
            if !(1..=PROBES).contains(&k.probes) || k.at > now {
                continue;
            }
            let (ip, mac) = (k.ip, k.mac);
            (k.probes, k.at) = (k.probes + 1, now + PROBE);
            if k.probes <= PROBES {
                self.ask(&ip, Some(mac));
            } else {
                // The old address is used until there is a new one.
                self.neighbor_asked(Some(ip));
                self.ask(&ip, None);
            }
        }
        let due = self.neighbors.known.iter().filter(|k| (1..=PROBES).contains(&k.probes)).map(|k| k.at).min();
        self.neighbors.next_at = due.unwrap_or(0);
    }
}
