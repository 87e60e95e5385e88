//! Power cuts at any point of random work, with any part of what was not flushed lost: what was promised must be there.
//!
//! Every sector that is written says which file it belongs to, which write it comes from and where it belongs. The
//! model records the states of each sector, each length and each name, and since when they are promised; after a cut
//! each may be in any state from the last promised one on, and in no other.

use super::disk::{Event, replay};
use super::*;
use libos_fs::inode::FileSystem;
use std::collections::{BTreeMap, BTreeSet};

const SECTOR: usize = 512;
const MAX: usize = 40;

#[derive(Clone, Default)]
struct File {
    /// Per sector: (operation, content; 0 means zeros).
    sectors: Vec<Vec<(usize, u32)>>,
    lengths: Vec<(usize, usize)>,
    /// Operations after which content is promised.
    synced: Vec<usize>,
    /// Operations that removed it, by unlink or by a rename over it.
    removed: Vec<usize>,
    /// (operation, name): its names over time.
    names: Vec<(usize, String)>,
}

#[derive(Default)]
struct Model {
    files: Vec<File>,
    /// Per name: (operation, file).
    names: BTreeMap<String, Vec<(usize, Option<usize>)>>,
    /// Per name: operations after which its current state is promised.
    promised: BTreeMap<String, Vec<usize>>,
    /// Position in the log at the end of each operation.
    ends: Vec<usize>,
    what: Vec<String>,
}

fn sector(id: usize, version: u32, at: usize) -> Vec<u8> {
    let tag = [id as u32 + 1, version, at as u32, 0x5ec7_0123];
    tag.iter().flat_map(|w| w.to_le_bytes()).cycle().take(SECTOR).collect()
}

/// (file, version, position); `None` for zeros.
fn tag(bytes: &[u8]) -> Option<(usize, u32, usize)> {
    if bytes.iter().all(|&b| b == 0) {
        return None;
    }
    let w = |i: usize| u32::from_le_bytes(bytes[i * 4..i * 4 + 4].try_into().unwrap());
    assert_eq!(w(3), 0x5ec7_0123, "content that nobody wrote");
    let (id, version, at) = (w(0) as usize - 1, w(1), w(2) as usize);
    assert_eq!(bytes, sector(id, version, at), "a sector in parts");
    Some((id, version, at))
}

impl Model {
    fn name(&mut self, op: usize, name: &str, id: Option<usize>) {
        self.names.get_mut(name).unwrap().push((op, id));
        if let Some(id) = id {
            self.files[id].names.push((op, name.to_string()));
        }
    }
    fn at(&self, name: &str) -> Option<usize> {
        self.names[name].last().unwrap().1
    }
    fn promise_name(&mut self, op: usize, name: &str) {
        self.promised.get_mut(name).unwrap().push(op);
    }
    fn promise_file(&mut self, op: usize, id: usize) {
        self.files[id].synced.push(op);
        for n in self.names.keys().cloned().collect::<Vec<_>>() {
            if self.at(&n) == Some(id) {
                self.promise_name(op, &n);
            }
        }
    }
}

/// Values from the last promised one up to operation `now`.
fn since<T: Copy>(history: &[(usize, T)], promises: &[usize], done: usize, now: usize) -> Vec<T> {
    let from = promises.iter().rev().find(|&&p| p < done).copied();
    let start = match from {
        Some(p) => history.iter().rposition(|h| h.0 <= p).unwrap_or(0),
        None => 0,
    };
    history[start..].iter().filter(|h| h.0 <= now).map(|h| h.1).collect()
}

fn names() -> Vec<String> {
    let mut v = Vec::new();
    for dir in ["/", "/a/", "/Another directory/"] {
        for n in ["x", "file.db", "file.db-journal", "A rather long name that needs many slots of a directory.txt"] {
            v.push(format!("{dir}{n}"));
        }
    }
    v
}

/// An owner whose content no file of the model may have.
const NOBODY: usize = 999;

fn work(fs: &Fs, random: &mut Random, ops: usize) -> Model {
    let mut m = Model::default();
    for n in names() {
        m.names.insert(n.clone(), vec![(0, None)]);
        m.promised.insert(n, Vec::new());
    }
    let all: Vec<String> = names();
    let start = fs.disk.count(libos_base::block::Op::Write) + fs.disk.count(libos_base::block::Op::Flush);
    for op in 1..=ops {
        let n = all[random.below(all.len() as u64) as usize].clone();
        let existing = m.at(&n);
        let text = match (random.below(22), existing) {
            (0..=6, _) => {
                // Write, creating it if necessary.
                let id = existing.unwrap_or_else(|| {
                    let id = m.files.len();
                    m.files.push(File { lengths: vec![(op, 0)], sectors: vec![vec![]; MAX], ..File::default() });
                    m.name(op, &n, Some(id));
                    id
                });
                let f = fs.create(&n);
                let at = random.below(MAX as u64 - 8) as usize;
                let len = 1 + random.below(8) as usize;
                let data: Vec<u8> = (at..at + len).flat_map(|s| sector(id, op as u32, s)).collect();
                assert_eq!(write(&f, (at * SECTOR) as u64, &data), Ok(data.len()), "{n}");
                let file = &mut m.files[id];
                let old = file.lengths.last().unwrap().1;
                for s in old..at {
                    file.sectors[s].push((op, 0));
                }
                for s in at..at + len {
                    file.sectors[s].push((op, op as u32));
                }
                file.lengths.push((op, old.max(at + len)));
                format!("write {n} {id} {at}+{len}")
            }
            (7, Some(id)) => {
                let len = if random.below(2) == 0 { 0 } else { random.below(MAX as u64) as usize };
                fs.truncate(&n, (len * SECTOR) as u64).unwrap();
                let file = &mut m.files[id];
                let old = file.lengths.last().unwrap().1;
                for s in old.min(len)..old.max(len) {
                    file.sectors[s].push((op, 0));
                }
                file.lengths.push((op, len));
                format!("truncate {n} {id} {len}")
            }
            (8..=10, Some(id)) => {
                fs.sync_file(&n).unwrap();
                m.promise_file(op, id);
                format!("fsync {n} {id}")
            }
            (11 | 12, Some(id)) => {
                fs.unlink(&n).unwrap();
                m.files[id].removed.push(op);
                m.name(op, &n, None);
                format!("unlink {n} {id}")
            }
            (13..=16, Some(id)) => {
                let to = all[random.below(all.len() as u64) as usize].clone();
                fs.rename(&n, &to).unwrap();
                if to != n {
                    if let Some(victim) = m.at(&to) {
                        m.files[victim].removed.push(op);
                    }
                    m.name(op, &to, Some(id));
                    m.name(op, &n, None);
                }
                format!("rename {n} {to} {id}")
            }
            (17 | 18, _) => {
                let dir = &n[..=n.rfind('/').unwrap()];
                fs.sync_file(dir).unwrap();
                for n in all.iter().filter(|n| &n[..=n.rfind('/').unwrap()] == dir) {
                    m.promise_name(op, n);
                }
                format!("fsync {dir}")
            }
            (19, _) if random.below(4) == 0 => {
                fs.vol.sync().unwrap();
                for id in 0..m.files.len() {
                    m.promise_file(op, id);
                }
                for n in &all {
                    m.promise_name(op, n);
                }
                "sync".to_string()
            }
            // Meanwhile, directories come and go with their content.
            (19..=21, _) => {
                let tree = format!("/a/tree number {}", random.below(3));
                let leaf = format!("{tree}/leaf");
                if fs.inode(&tree).is_err() {
                    fs.mkdir(&tree).unwrap();
                    fs.put(&leaf, &sector(NOBODY, 0, 0).repeat(5));
                    if random.below(2) == 0 {
                        fs.sync_file(&leaf).unwrap();
                    }
                } else {
                    fs.unlink(&leaf).unwrap();
                    fs.rmdir(&tree).unwrap();
                }
                format!("tree {tree}")
            }
            _ => "-".to_string(),
        };
        m.what.push(text);
        let n = fs.disk.count(libos_base::block::Op::Write) + fs.disk.count(libos_base::block::Op::Flush);
        m.ends.push((n - start) as usize);
    }
    m
}

/// Checks a volume after a cut at event `k`.
fn check(m: &Model, image: Vec<u8>, k: usize) {
    // Operations up to `done` are complete; the next one may have begun.
    let done = m.ends.partition_point(|&e| e <= k);
    let now = done + 1;
    let disk = MemDisk::from_image(image);
    let fs = Fs::try_open(&disk).unwrap_or_else(|e| panic!("mount: {e}"));
    assert!(!fs.vol.is_read_only(), "read-only after a cut");
    let mut seen: BTreeMap<usize, String> = BTreeMap::new();
    let mut empty: BTreeSet<String> = BTreeSet::new();
    for (name, history) in &m.names {
        let allowed = since(history, &m.promised[name], now, now);
        let content = match fs.get(name) {
            Ok(c) => c,
            Err(libos_base::Errno::ENOENT) => {
                assert!(allowed.contains(&None), "{name} is missing; it could be {allowed:?}");
                continue;
            }
            Err(e) => panic!("{name}: {e}"),
        };
        assert_eq!(content.len() % SECTOR, 0);
        let tags: Vec<_> = content.chunks(SECTOR).map(tag).collect();
        let ids: BTreeSet<usize> = tags.iter().flatten().map(|t| t.0).collect();
        assert!(ids.len() <= 1, "{name} has content of {ids:?}");
        let candidates: Vec<usize> = match ids.first() {
            Some(&id) => vec![id],
            None => allowed.iter().flatten().copied().collect(),
        };
        let fits = |id: usize| -> Result<(), String> {
            let f = &m.files[id];
            let lengths = since(&f.lengths, &f.synced, now, now);
            if !lengths.contains(&tags.len()) {
                return Err(format!("length {} of {lengths:?}", tags.len()));
            }
            for (s, t) in tags.iter().enumerate() {
                let may = since(&f.sectors[s], &f.synced, now, now);
                let version = t.map_or(0, |t| t.1);
                if t.is_some_and(|t| t.2 != s) || !(may.contains(&version) || version == 0 && may.is_empty()) {
                    return Err(format!("sector {s} is {t:?}, not of {may:?}"));
                }
            }
            Ok(())
        };
        if let Some(&id) = ids.first() {
            assert!(allowed.contains(&Some(id)), "{name} is file {id}; it could be {allowed:?}");
            if let Some(other) = seen.insert(id, name.clone()) {
                panic!("{name} and {other} are both file {id}");
            }
        } else {
            empty.insert(name.clone());
        }
        if !candidates.iter().any(|&id| fits(id).is_ok()) {
            panic!("{name}: {:?}", candidates.iter().map(|&id| fits(id)).collect::<Vec<_>>());
        }
    }
    // What was promised and not removed since must be somewhere.
    for (id, f) in m.files.iter().enumerate() {
        let Some(&p) = f.synced.iter().rev().find(|&&p| p < now) else { continue };
        if f.removed.iter().any(|&r| r <= now) || seen.contains_key(&id) {
            continue;
        }
        let names: BTreeSet<&String> = {
            let start = f.names.iter().rposition(|h| h.0 <= p).unwrap_or(0);
            f.names[start..].iter().filter(|h| h.0 <= now).map(|h| &h.1).collect()
        };
        assert!(names.iter().any(|n| empty.contains(*n)), "file {id} was synced and is gone; it was {names:?}");
    }
    if k.is_multiple_of(64) {
        fsck(&fs.close());
    }
}

fn run(shape: &Shape, seed: u64, ops: usize, cuts: usize) -> usize {
    let mut random = Random(seed);
    let fs = Fs::new(shape);
    fs.mkdir("/a").unwrap();
    fs.mkdir("/Another directory").unwrap();
    let base = fs.close();
    let fs = Fs::open_image(base.clone());
    fs.disk.start_log();
    let m = work(&fs, &mut random, ops);
    let log = fs.disk.log();
    drop(fs);
    let step = (log.len() / cuts).max(1);
    let mut n = 0;
    for k in (0..=log.len()).step_by(step) {
        for keep in [None, Some(seed + k as u64)] {
            let image = replay(&base, &log[..k], keep);
            let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&m, image, k)));
            if let Err(e) = r {
                let done = m.ends.partition_point(|&e| e <= k);
                for (i, w) in m.what.iter().enumerate().take(done + 1) {
                    eprintln!("{:4} {:5} {w}", i + 1, m.ends[i]);
                }
                for d in ["/", "/a", "/Another directory"] {
                    let fs = Fs::open_image(replay(&base, &log[..k], keep));
                    eprintln!("{d}: {:?}", fs.list(d));
                }
                let at = |k: usize| log[..k].iter().rposition(|e| matches!(e, Event::Flush));
                eprintln!("last flush {:?}", at(k));
                std::fs::write("/tmp/libos-fat-cut.img", replay(&base, &log[..k], keep)).unwrap();
                eprintln!("{} seed {seed}: cut at event {k} of {}, kept {keep:?}", shape.0, log.len());
                std::panic::resume_unwind(e);
            }
            n += 1;
        }
    }
    n
}

#[test]
fn random_work() {
    let mut n = 0;
    let seeds = std::env::var("FAT_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(12);
    let first: u64 = std::env::var("FAT_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for seed in first..first + seeds {
        n += run(&("fat12", FatType::Fat12, 300 << 10, 512), seed, 80, 80);
    }
    n += run(&("fat12/2k", FatType::Fat12, 900 << 10, 2048), first, 80, 40);
    n += run(&("fat16", FatType::Fat16, 2300 << 10, 512), first, 80, 40);
    n += run(&("fat32", FatType::Fat32, 34 << 20, 512), first, 60, 6);
    eprintln!("{n} power cuts");
}

/// Directories and files that grow where an entry of a FAT12 table spans two sectors, either of which may be lost.
#[test]
fn entries_in_two_sectors() {
    const STEPS: usize = 24;
    for (split, kib) in [(341, 210), (682, 380)] {
        let shape = ("fat12", FatType::Fat12, kib << 10, 512);
        for before in 1..4 {
            let fs = Fs::new(&shape);
            fs.put("/filler", &vec![1; (split - 2 - before) * SECTOR]);
            fs.sync_file("/filler").unwrap();
            fs.mkdir("/d").unwrap();
            let base = fs.close();
            let fs = Fs::open_image(base.clone());
            fs.disk.start_log();
            let mut ends = Vec::new();
            for i in 0..STEPS {
                // Five slots each: a cluster holds three of them.
                fs.create(&format!("/d/{i} with a name that fills some of the slots"));
                fs.sync_file("/d").unwrap();
                if i % 4 == 1 {
                    let f = fs.create("/f");
                    write(&f, (i * 100) as u64, &[i as u8; 700]).unwrap();
                    f.sync(false).unwrap();
                }
                if i % 8 == 5 {
                    fs.truncate("/f", 600).unwrap();
                }
                ends.push(fs.disk.log().len());
            }
            let log = fs.disk.log();
            for k in 0..=log.len() {
                for seed in 2 * k as u64..2 * k as u64 + 2 {
                    let fs = Fs::open_image(replay(&base, &log[..k], Some(seed)));
                    let done = ends.partition_point(|&e| e <= k);
                    assert!(!fs.vol.is_read_only(), "{split} {before} {seed}: read-only at {k}, step {done}");
                    let names = fs.list("/d").len();
                    assert!((done..=done + 1).contains(&names), "{split} {before} {seed}: {names} at {k}, step {done}");
                    if seed.is_multiple_of(32) {
                        fs.again();
                    }
                }
            }
        }
    }
}

/// Every cluster that is counted as free can be used, and becomes free again.
#[test]
fn clusters_with_entries_in_two_sectors_are_not_counted() {
    let fs = Fs::new(&("fat12", FatType::Fat12, 600 << 10, 512));
    let free = |fs: &Fs| fs.p.statfs(&fs.p.root().unwrap()).bfree;
    let n = free(&fs);
    assert_eq!(n, u64::from(fs.vol.geo.clusters) - 2);
    for _ in 0..2 {
        fs.put("/f", &vec![7; n as usize * SECTOR]);
        assert_eq!(free(&fs), 0);
        assert_eq!(write(&fs.create("/g"), 0, &[1]), Err(libos_base::Errno::ENOSPC));
        fs.unlink("/f").unwrap();
        fs.vol.sync_all().unwrap();
        assert_eq!(free(&fs), n);
    }
    // As counted by the check after a power cut.
    fs.put("/f", b"lost");
    fs.sync_file("/f").unwrap();
    let fs = Fs::open_image(fs.disk.durable());
    assert_eq!(free(&fs), n - 1);
    fs.again();
}
