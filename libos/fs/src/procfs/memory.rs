//! Files of `/proc` about memory: that of the process, mapping by mapping, and that of the machine.

use crate::cache;
use crate::inode::StatFs;
use crate::kernel_info::{self, Mapping, Resident};
use crate::util::Text;
use alloc::vec::Vec;
use libos_base::Result;
use libos_base::cred::{cap, capable};
use libos_base::io::Sink;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END};

const PAGE: u64 = PAGE_SIZE as u64;

/// `Name:      123 kB`, with the widths that Linux uses.
fn line(t: Text, name: &str, bytes: u64) -> Text {
    let pad = 16usize.saturating_sub(name.len() + 1);
    t.s(name).s(":").pad(bytes / 1024, pad + 8, b' ').s(" kB\n")
}

/// Addresses have eight digits at least.
fn address(t: Text, n: u64) -> Text {
    t.hex(n, (16 - n.leading_zeros() / 4).max(8))
}

/// The beginning of a mapping's line, up to the column of its name.
fn head(t: Text, range: (u64, u64), rights: [u8; 4], offset: u64, dev: (u64, u64), ino: u64) -> (Text, usize) {
    let start = t.0.len();
    let t = address(address(t, range.0).s("-"), range.1).s(" ").s(rights).s(" ").hex(offset, 8).s(" ");
    let t = t.hex(dev.0, 2).s(":").hex(dev.1, 2).s(" ").n(ino).s(" ");
    (t, start)
}

/// Names begin in one column (show_map_vma() of Linux).
fn named(t: Text, start: usize, name: &[u8]) -> Text {
    const COLUMN: usize = 73;
    if name.is_empty() {
        return t.s("\n");
    }
    let pad = (start + COLUMN).saturating_sub(t.0.len());
    name.iter().fold(t.s(" ".repeat(pad)), |t, &b| if b == b'\n' { t.s("\\012") } else { t.s([b]) }).s("\n")
}

fn mapping(t: Text, m: &Mapping) -> Text {
    let letter = |has, c| if has { c } else { b'-' };
    let rights =
        [letter(m.read, b'r'), letter(m.write, b'w'), letter(m.exec, b'x'), if m.shared { b's' } else { b'p' }];
    let (t, start) = head(t, (m.start, m.end), rights, m.offset, crate::device::split(m.dev), m.ino);
    named(t, start, &m.name)
}

pub(super) fn maps() -> Vec<u8> {
    kernel_info::mappings().iter().fold(Text::new(), mapping).0
}

/// The figures that `smaps` and `smaps_rollup` have in common. Nobody else maps a page, so the share is the whole.
fn figures(t: Text, r: &Resident, rollup: bool) -> Text {
    let file = r.present - r.own;
    let t = line(line(line(t, "Rss", r.present), "Pss", r.present), "Pss_Dirty", r.dirty);
    let t = if rollup {
        line(line(line(t, "Pss_Anon", r.own), "Pss_File", file - r.shmem.min(file)), "Pss_Shmem", r.shmem.min(file))
    } else {
        t
    };
    let rows = [
        ("Shared_Clean", 0),
        ("Shared_Dirty", 0),
        ("Private_Clean", r.present - r.dirty),
        ("Private_Dirty", r.dirty),
        ("Referenced", r.present),
        ("Anonymous", r.own),
        ("KSM", 0),
        ("LazyFree", 0),
        ("AnonHugePages", r.large),
        ("ShmemPmdMapped", 0),
        ("FilePmdMapped", 0),
        ("Shared_Hugetlb", 0),
        ("Private_Hugetlb", 0),
        ("Swap", 0),
        ("SwapPss", 0),
        ("Locked", if r.locked { r.present } else { 0 }),
    ];
    rows.into_iter().fold(t, |t, (name, v)| line(t, name, v))
}

pub(super) fn smaps() -> Vec<u8> {
    kernel_info::mappings()
        .iter()
        .fold(Text::new(), |t, m| {
            let t = line(mapping(t, m), "Size", m.end - m.start);
            let t =
                figures(line(line(t, "KernelPageSize", PAGE), "MMUPageSize", PAGE), &kernel_info::resident(m), false);
            let t = t.s("THPeligible:").pad(m.large.into(), 12, b' ').s("\nVmFlags: ");
            let flags = [
                (m.read, "rd "),
                (m.write, "wr "),
                (m.exec, "ex "),
                (m.shared, "sh "),
                (true, "mr "),
                (m.may_write, "mw "),
                (true, "me "),
                (m.shared, "ms "),
                (m.grows, "gd "),
                (m.locked, "lo "),
                (m.accounted, "ac "),
                (m.no_reserve, "nr "),
            ];
            flags.into_iter().fold(t, |t, (has, name)| if has { t.s(name) } else { t }).s("\n")
        })
        .0
}

pub(super) fn smaps_rollup() -> Vec<u8> {
    let all = kernel_info::mappings();
    let mut sum = Resident::default();
    // The part that is locked counts there, all of the rest here.
    let mut locked = 0;
    for m in &all {
        let r = kernel_info::resident(m);
        sum.present += r.present;
        sum.own += r.own;
        sum.shmem += r.shmem;
        sum.dirty += r.dirty;
        sum.large += r.large;
        locked += if r.locked { r.present } else { 0 };
    }
    let range = (all.first().map_or(0, |m| m.start), all.last().map_or(0, |m| m.end));
    let (t, start) = head(Text::new(), range, *b"---p", 0, (0, 0), 0);
    let t = figures(named(t, start, b"[rollup]"), &sum, true);
    // The last line.
    let keep = t.0.len() - "Locked:                0 kB\n".len();
    line(Text(t.0[..keep].to_vec()), "Locked", locked).0
}

/// What a process has, for `status` and `statm`.
#[derive(Default)]
pub(super) struct Process {
    pub size: u64,
    pub anonymous: u64,
    pub file: u64,
    pub shmem: u64,
    pub locked: u64,
    pub data: u64,
    pub stack: u64,
    pub code: u64,
}

impl Process {
    pub fn resident(&self) -> u64 {
        self.anonymous + self.file + self.shmem
    }
    pub fn now() -> Self {
        let mut p = Self::default();
        for m in kernel_info::mappings() {
            let (len, r) = (m.end - m.start, kernel_info::resident(&m));
            p.size += len;
            p.anonymous += r.own;
            p.shmem += r.shmem;
            p.file += (r.present - r.own).saturating_sub(r.shmem);
            p.locked += if m.locked { len } else { 0 };
            let private = m.write && !m.shared;
            p.stack += if m.grows { len } else { 0 };
            p.data += if private && !m.grows { len } else { 0 };
            p.code += if m.exec && !m.write && m.program { len } else { 0 };
        }
        p
    }
}

pub(super) fn statm() -> Vec<u8> {
    let p = Process::now();
    let fields = [p.size, p.resident(), p.file + p.shmem, p.code, 0, p.data + p.stack, 0];
    let t = fields.iter().enumerate().fold(Text::new(), |t, (i, b)| t.s(if i > 0 { " " } else { "" }).n(b / PAGE));
    t.s("\n").0
}

/// An entry of eight bytes for each page of the program's half (Documentation/admin-guide/mm/pagemap.rst): whether it is
/// present, and of a file; the number of its frame only for who may know.
pub(super) fn pagemap(pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
    if !pos.is_multiple_of(8) || !dst.left().is_multiple_of(8) {
        return Err(libos_base::Errno::EINVAL);
    }
    let (mut page, frames) = (pos / 8, capable(cap::SYS_ADMIN));
    dst.pieces(|dst| {
        let mut entries = [0; 64];
        let end = PROGRAM_END as u64 / PAGE + 1;
        let n = (dst.left() / 8).min(entries.len()).min(end.saturating_sub(page) as usize);
        kernel_info::pages(page, &mut entries[..n]);
        let bytes = entries[..n].iter().flat_map(|e| if frames { *e } else { e & !((1 << 55) - 1) }.to_ne_bytes());
        let bytes: Vec<u8> = bytes.collect();
        if n > 0 {
            dst.put_whole(&bytes)?;
        }
        page += n as u64;
        Ok(n > 0)
    })
}

/// What memory file systems hold.
fn shmem() -> u64 {
    let held = |s: StatFs| s.blocks.saturating_sub(s.bfree) * s.bsize as u64;
    let anonymous = crate::root::anonymous().ok();
    super::system::all_mounts().chain(anonymous).filter(|m| m.root.in_memory()).map(|m| held(m.fs.statfs())).sum()
}

pub(super) fn meminfo() -> Vec<u8> {
    let (m, p, shmem) = (kernel_info::memory(), Process::now(), shmem());
    let rows = [
        ("MemTotal", m.total),
        ("MemFree", m.free),
        ("MemAvailable", m.available),
        ("Buffers", 0),
        ("Cached", m.cached + shmem),
        ("SwapCached", 0),
        ("Mlocked", p.locked),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", cache::dirty_pages() as u64 * PAGE),
        ("AnonPages", p.anonymous),
        ("Mapped", p.file + p.shmem),
        ("Shmem", shmem),
        ("CommitLimit", m.commit_limit),
        ("Committed_AS", m.committed),
    ];
    let t = rows.into_iter().fold(Text::new(), |t, (name, v)| line(t, name, v));
    // The pool of huge pages is empty.
    let none = ["HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp"];
    let t = none.iter().fold(t, |t, name| t.s(name).s(":").pad(0, 23 - name.len(), b' ').s("\n"));
    line(line(t, "Hugepagesize", 2 << 20), "Hugetlb", 0).0
}

pub(super) fn vmstat() -> Vec<u8> {
    let (m, p, shmem) = (kernel_info::memory(), Process::now(), shmem());
    let rows = [
        ("nr_free_pages", m.free),
        ("nr_mlock", p.locked),
        ("nr_anon_pages", p.anonymous),
        ("nr_mapped", p.file + p.shmem),
        ("nr_file_pages", m.cached + shmem),
        ("nr_dirty", cache::dirty_pages() as u64 * PAGE),
        ("nr_shmem", shmem),
    ];
    rows.into_iter().fold(Text::new(), |t, (name, v)| t.s(name).s(" ").n(v / PAGE).s("\n")).0
}
