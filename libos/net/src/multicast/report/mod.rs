//! What routers and switches are told of memberships on the card: IGMPv3 (RFC 3376), or version 2 (RFC 2236) or 1 while
//! a router speaks that; MLDv2 (RFC 3810) or version 1 (RFC 2710). From the first membership on, that includes the
//! groups in which neighbors look for our IPv6 addresses, so that a switch that filters lets their questions through.
//!
//! smoltcp has no IGMPv3, and knows a group as joined or not, without sources.

mod query;
mod wire;

use super::{Member, Wide, everybody, solicited_node};
use crate::stack::Stack;
use crate::stack::interface::InterfaceId;
use alloc::boxed::Box;
use alloc::vec::Vec;
use libos_base::random;
use libos_base::time::NS;
use smoltcp::wire::{IpAddress, IpCidr, Ipv6Address};

/// How often a change is told, and the longest time between (RFC 3376 section 8.1 and 8.11; RFC 2236 section 8.10).
const TOLD: u8 = 2;
const SOON: u64 = NS;
const LATER: u64 = 10 * NS;
/// How long a router of an older version is believed to be there (RFC 3376 section 8.12, with its default values).
const OLDER: u64 = 260 * NS;
/// Bytes of a report at most.
const LONGEST: usize = 1400;

/// Record types (RFC 3376 section 4.2.12).
const IS_INCLUDE: u8 = 1;
const IS_EXCLUDE: u8 = 2;
const TO_INCLUDE: u8 = 3;
const TO_EXCLUDE: u8 = 4;
const ALLOW: u8 = 5;
const BLOCK: u8 = 6;

/// What the card wants of a group.
#[derive(Clone, PartialEq)]
pub struct State {
    pub group: Wide,
    pub include: bool,
    pub sources: Vec<Wide>,
}

impl State {
    /// As the answer to a query says it.
    fn record(&self) -> Record {
        let kind = if self.include { IS_INCLUDE } else { IS_EXCLUDE };
        Record { kind, group: self.group, sources: self.sources.clone() }
    }
}

/// Something to tell.
struct Due {
    at: u64,
    /// How often it is still to be told.
    left: u8,
    record: Record,
}

#[derive(Clone)]
struct Record {
    kind: u8,
    group: Wide,
    sources: Vec<Wide>,
}

/// What routers know, and what they are going to be told.
#[derive(Default)]
pub struct Reports {
    told: Vec<State>,
    due: Vec<Due>,
    /// When to answer queries for all groups, of IPv4 and of IPv6; 0: there is none.
    all: [u64; 2],
    /// Until when a router speaks IGMPv1, IGMPv2, MLDv1.
    older: [u64; 3],
    /// What [`Stack::groups_changed`] found cannot be kept without memory: it is looked at again.
    again: bool,
}

const V1: usize = 0;
const V2: usize = 1;
const MLD1: usize = 2;

fn v4(group: &Wide) -> bool {
    Ipv6Address::from(*group).to_ipv4_mapped().is_some()
}

fn address(a: &Wide) -> IpAddress {
    let a = Ipv6Address::from(*a);
    a.to_ipv4_mapped().map_or(IpAddress::Ipv6(a), IpAddress::Ipv4)
}

/// After an option was set: begins to report, if there is something to report, and looks for changes.
pub fn begin(st: &mut Stack) {
    let on_card = |m: &Member| m.ifc == InterfaceId::Eth;
    if st.groups.reports.is_none() {
        if st.interfaces.eth.is_none() || !st.groups.members.iter().any(on_card) {
            return;
        }
        st.groups.reports = Some(Box::<Reports>::default());
        st.groups.hear = Some(query::hear);
        st.groups.run = Some(run);
        st.groups.changed = Some(changed);
    }
    changed(st);
}

/// What the card wants now: memberships joined as RFC 3376 section 3.2 says, and the groups of our own addresses.
fn wanted(st: &Stack) -> libos_base::Result<Vec<State>> {
    let mut all: Vec<State> = Vec::new();
    for m in st.groups.members.iter().filter(|m| m.ifc == InterfaceId::Eth && !everybody(&address(&m.group))) {
        let Some(s) = all.iter_mut().find(|s| s.group == m.group) else {
            let sources = libos_base::memory::copy(&m.sources)?;
            libos_base::memory::push(&mut all, State { group: m.group, include: m.include, sources })?;
            continue;
        };
        match (s.include, m.include) {
            // All that somebody listens to.
            (true, true) => {
                for from in &m.sources {
                    if !s.sources.contains(from) {
                        libos_base::memory::push(&mut s.sources, *from)?;
                    }
                }
            }
            // None but those that nobody listens to.
            (false, false) => s.sources.retain(|from| m.sources.contains(from)),
            (false, true) => s.sources.retain(|from| !m.sources.contains(from)),
            (true, false) => {
                let mut sources = libos_base::memory::copy(&m.sources)?;
                sources.retain(|from| !s.sources.contains(from));
                (s.include, s.sources) = (false, sources);
            }
        }
    }
    for c in st.interfaces.eth.iter().flat_map(|e| e.smoltcp.ip_addrs()) {
        if let IpCidr::Ipv6(c) = c {
            let group = solicited_node(&c.address()).octets();
            if !all.iter().any(|s| s.group == group) {
                libos_base::memory::push(&mut all, State { group, include: false, sources: Vec::new() })?;
            }
        }
    }
    all.retain(|s| !(s.include && s.sources.is_empty()));
    Ok(all)
}

/// Compares what is wanted with what was told.
fn changed(st: &mut Stack) {
    let now = st.now;
    let wanted = wanted(st);
    let Some(r) = Reports::of(st) else { return };
    r.again = match wanted {
        Ok(wanted) => r.update(wanted, now).is_err(),
        Err(_) => true,
    };
    // The network thread sends them.
    st.control.next_at = now;
    st.egress.hurry(now);
}

fn without(a: &[Wide], b: &[Wide]) -> Vec<Wide> {
    a.iter().filter(|a| !b.contains(a)).copied().collect()
}

impl Reports {
    fn of(st: &mut Stack) -> Option<&mut Self> {
        st.groups.reports.as_mut()?.downcast_mut()
    }

    fn update(&mut self, wanted: Vec<State>, now: u64) -> libos_base::Result<()> {
        let none = |group| State { group, include: true, sources: Vec::new() };
        let mut news: Vec<Record> = Vec::new();
        let gone = self.told.iter().filter(|t| !wanted.iter().any(|w| w.group == t.group));
        let pairs = gone.map(|t| (t.clone(), none(t.group))).chain(wanted.iter().map(|w| {
            let old = self.told.iter().find(|t| t.group == w.group);
            (old.cloned().unwrap_or(none(w.group)), w.clone())
        }));
        for (old, new) in pairs {
            let group = new.group;
            let mut tell = |kind, sources: Vec<Wide>| news.push(Record { kind, group, sources });
            // RFC 3376 section 5.1.
            match (old.include, new.include) {
                (true, false) => tell(TO_EXCLUDE, new.sources),
                (false, true) => tell(TO_INCLUDE, new.sources),
                (include, _) => {
                    let (came, went) = (without(&new.sources, &old.sources), without(&old.sources, &new.sources));
                    let (allowed, blocked) = if include { (came, went) } else { (went, came) };
                    if !allowed.is_empty() {
                        tell(ALLOW, allowed);
                    }
                    if !blocked.is_empty() {
                        tell(BLOCK, blocked);
                    }
                }
            }
        }
        self.due.try_reserve(news.len())?;
        for n in &news {
            self.due.retain(|d| d.record.group != n.group);
        }
        self.due.extend(news.into_iter().map(|record| Due { at: now, left: TOLD, record }));
        self.told = wanted;
        Ok(())
    }

    /// The time until which answers of this kind are spread: `ns` at most.
    fn some(ns: u64, now: u64) -> u64 {
        now + random::u64() % ns.max(1)
    }

    /// Which older version is spoken for a group.
    fn older(&self, group: &Wide, now: u64) -> Option<usize> {
        let kinds: &[usize] = if v4(group) { &[V1, V2] } else { &[MLD1] };
        kinds.iter().copied().find(|&k| self.older[k] > now)
    }
}

/// Tells what is due, and returns when the next is.
fn run(st: &mut Stack) -> u64 {
    if Reports::of(st).is_some_and(|r| r.again) {
        changed(st);
    }
    let now = st.now;
    let Some(r) = Reports::of(st) else { return u64::MAX };
    let mut out: Vec<Record> = Vec::new();
    for (six, at) in [false, true].into_iter().zip(&mut r.all) {
        if *at != 0 && *at <= now {
            *at = 0;
            out.extend(r.told.iter().filter(|t| v4(&t.group) != six).map(State::record));
        }
    }
    let mut i = 0;
    while let Some(d) = r.due.get(i) {
        if d.at > now {
            i += 1;
            continue;
        }
        out.push(d.record.clone());
        let older = r.older(&d.record.group, now).is_some();
        let later = if older { LATER } else { SOON };
        let d = &mut r.due[i];
        // The older versions say farewell once.
        d.left = if older && matches!(d.record.kind, TO_INCLUDE | BLOCK) { 0 } else { d.left - 1 };
        d.at = Reports::some(later, now);
        if d.left == 0 {
            r.due.remove(i);
        } else {
            i += 1;
        }
    }
    let next = r.due.iter().map(|d| d.at).chain(r.all.into_iter().filter(|&at| at != 0)).min().unwrap_or(u64::MAX);
    let next = if r.again { next.min(now + NS) } else { next };
    for six in [false, true] {
        let mut records: Vec<&Record> = Vec::new();
        for record in out.iter().filter(|r| v4(&r.group) != six) {
            let older = Reports::of(st).and_then(|r| r.older(&record.group, now));
            match older {
                Some(version) => wire::tell_older(st, version, record),
                None => records.push(record),
            }
        }
        wire::tell(st, six, &records);
    }
    next
}
