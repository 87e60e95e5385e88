//! The MADT: processors, I/O APICs, interrupt overrides (ACPI 6.5, 5.2.12).

use super::{Tables, u16_at, u32_at, u64_at};
use crate::topology::{Cpu, IoApic, Override, Topology, push};

const ENTRIES: usize = 44;
const ENABLED: u32 = 1;

/// Reads the MADT; `None` without one.
pub fn topology(tables: &Tables<'_>) -> Option<Topology> {
    let madt = tables.find(b"APIC")?;
    let mut t = Topology { lapic: u32_at(madt, 36)?.into(), ..Topology::default() };
    let mut rest = madt.get(ENTRIES..)?;
    while let [kind, len, ..] = *rest {
        let Some((entry, after)) = rest.split_at_checked(len.into()).filter(|_| len >= 2) else { break };
        // An entry too short for its type is skipped.
        let _ = read(&mut t, kind, entry);
        rest = after;
    }
    Some(t)
}

fn read(t: &mut Topology, kind: u8, e: &[u8]) -> Option<()> {
    match kind {
        0 if u32_at(e, 4)? & ENABLED != 0 => push(&mut t.cpus, Cpu { apic_id: e[3].into() }),
        9 if u32_at(e, 8)? & ENABLED != 0 => push(&mut t.cpus, Cpu { apic_id: u32_at(e, 4)? }),
        1 => push(&mut t.ioapics, IoApic { address: u32_at(e, 4)?.into(), gsi_base: u32_at(e, 8)? }),
        2 => {
            let flags = u16_at(e, 8)?;
            let o = Override { irq: e[3], gsi: u32_at(e, 4)?, active_low: flags & 3 == 3, level: flags >> 2 & 3 == 3 };
            push(&mut t.overrides, o);
        }
        5 => t.lapic = u64_at(e, 4)?,
        _ => {}
    }
    Some(())
}
