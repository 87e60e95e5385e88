//! RSDP, RSDT, XSDT, MCFG, HPET (ACPI 6.5, 5.2.5 to 5.2.8).

use super::{sums_up, u16_at, u32_at, u64_at};
use alloc::vec::Vec;

/// Physical memory, for reading.
pub trait PhysMem {
    /// `len` bytes at `phys`; `None` when that is not readable memory.
    fn bytes(&self, phys: u64, len: usize) -> Option<&[u8]>;
}

const HEADER: usize = 36;
/// Longer tables are nonsense (QEMU's DSDT with hundreds of CPUs takes 100 KiB).
const LONGEST: usize = 4 << 20;
const MOST_TABLES: usize = 256;
const RSDP_SIGNATURE: &[u8; 8] = b"RSD PTR ";

/// Looks for the RSDP where the BIOS of a PC puts it: the first KiB of the EBDA, then 0xe0000 to 0xfffff.
pub fn scan_rsdp(mem: &dyn PhysMem) -> Option<u64> {
    let ebda = mem.bytes(0x40e, 2).and_then(|b| u16_at(b, 0)).map_or(0, |s| u64::from(s) << 4);
    let ranges = [(ebda, 1024usize), (0xe0000, 0x20000)];
    ranges.into_iter().filter(|r| (0x400..0x100000).contains(&r.0)).find_map(|(start, len)| {
        let area = mem.bytes(start, len)?;
        let at = (0..len)
            .step_by(16)
            .find(|&i| area.get(i..i + 20).is_some_and(|r| r.starts_with(RSDP_SIGNATURE) && sums_up(r)))?;
        Some(start + at as u64)
    })
}

/// All tables that the root table names.
pub struct Tables<'m> {
    mem: &'m dyn PhysMem,
    found: Vec<&'m [u8]>,
}

impl<'m> Tables<'m> {
    /// Starts from the RSDP's address. The XSDT is preferred (microvm has only that one), then the RSDT (QEMU's pc and
    /// q35 have only that). Tables with a wrong checksum are left out.
    pub fn new(mem: &'m dyn PhysMem, rsdp: u64) -> Option<Self> {
        let r = mem.bytes(rsdp, 20).filter(|r| r.starts_with(RSDP_SIGNATURE) && sums_up(r))?;
        let xsdt = (r[15] >= 2)
            .then(|| mem.bytes(rsdp, 36).filter(|r| sums_up(r)).and_then(|r| u64_at(r, 24)))
            .flatten()
            .filter(|&a| a != 0)
            .and_then(|a| table(mem, a))
            .filter(|t| t.starts_with(b"XSDT"));
        let (root, width) = match xsdt {
            Some(x) => (x, 8),
            None => (table(mem, u32_at(r, 16)?.into()).filter(|t| t.starts_with(b"RSDT"))?, 4),
        };
        let found = root[HEADER..]
            .chunks_exact(width)
            .take(MOST_TABLES)
            .filter_map(|e| if width == 8 { u64_at(e, 0) } else { u32_at(e, 0).map(u64::from) })
            .filter_map(|a| table(mem, a))
            .collect();
        Some(Self { mem, found })
    }

    /// The first table with that signature, header included.
    pub fn find(&self, signature: &[u8; 4]) -> Option<&'m [u8]> {
        self.found.iter().copied().find(|t| t.starts_with(signature))
    }

    /// The DSDT, which only the FADT names.
    pub fn dsdt(&self) -> Option<&'m [u8]> {
        let fadt = self.find(b"FACP")?;
        let wide = u64_at(fadt, 140).filter(|&a| a != 0);
        let at = wide.or_else(|| u32_at(fadt, 40).map(u64::from))?;
        table(self.mem, at).filter(|t| t.starts_with(b"DSDT"))
    }
}

fn table(mem: &dyn PhysMem, at: u64) -> Option<&[u8]> {
    let len = u32_at(mem.bytes(at, HEADER)?, 4)? as usize;
    if !(HEADER..=LONGEST).contains(&len) {
        return None;
    }
    mem.bytes(at, len).filter(|t| sums_up(t))
}

/// A range of buses with memory-mapped configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mcfg {
    /// Address of bus 0.
    pub base: u64,
    /// First and last bus decoded.
    pub buses: (u8, u8),
}

/// Segment 0's range (PCI firmware specification 3.3, 4.1.2 and 4.1.3): from the MCFG table, or else from the host
/// bridge.
pub fn mcfg(tables: &Tables<'_>) -> Option<Mcfg> {
    from_table(tables).or_else(|| {
        let base = super::aml::ecam_base(tables.dsdt()?)?;
        Some(Mcfg { base, buses: (0, 255) })
    })
}

fn from_table(tables: &Tables<'_>) -> Option<Mcfg> {
    let t = tables.find(b"MCFG")?;
    let entry = t.get(HEADER + 8..)?.chunks_exact(16).find(|e| u16_at(e, 8) == Some(0))?;
    Some(Mcfg { base: u64_at(entry, 0)?, buses: (entry[10], entry[11]) }).filter(|m| m.buses.0 <= m.buses.1)
}

/// Physical address of the HPET's registers.
pub fn hpet_address(tables: &Tables<'_>) -> Option<u64> {
    let t = tables.find(b"HPET")?;
    // A generic address: 0 is system memory.
    (*t.get(40)? == 0).then(|| u64_at(t, 44))?.filter(|&a| a != 0)
}
