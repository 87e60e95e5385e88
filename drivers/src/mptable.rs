//! The MP table (Intel MultiProcessor Specification 1.4, chapter 4), for machines without ACPI.

use crate::acpi::{PhysMem, sums_up, u16_at, u32_at};
use crate::topology::{Cpu, IoApic, Override, Topology, push};

const FLOATING: &[u8; 4] = b"_MP_";
const CONFIG: &[u8; 4] = b"PCMP";
const HEADER: usize = 44;
const MOST_BUSES: usize = 256;

/// Looks for the table where the specification puts it, and where Firecracker does (the last KiB of base memory).
pub fn topology(mem: &dyn PhysMem) -> Option<Topology> {
    let ebda = mem.bytes(0x40e, 2).and_then(|b| u16_at(b, 0)).map_or(0, |s| u64::from(s) << 4);
    let ranges = [(ebda, 1024), (0x9fc00, 1024), (0xf0000, 0x10000)];
    ranges.into_iter().filter(|r| (0x400..0x100000).contains(&r.0)).find_map(|(start, len)| {
        let area = mem.bytes(start, len)?;
        let is = |i: &usize| area.get(*i..*i + 16).is_some_and(|f| f.starts_with(FLOATING) && sums_up(f));
        (0..len).step_by(16).filter(is).find_map(|at| table(mem, u32_at(area, at + 4)?.into()))
    })
}

fn table(mem: &dyn PhysMem, at: u64) -> Option<Topology> {
    let len = usize::from(u16_at(mem.bytes(at, HEADER)?, 4)?);
    let t = mem.bytes(at, len).filter(|t| len >= HEADER && t.starts_with(CONFIG) && sums_up(t))?;
    let mut topology = Topology { lapic: u32_at(t, 36)?.into(), ..Topology::default() };
    // By bus id: whether it is PCI.
    let mut pci = [false; MOST_BUSES];
    let mut rest = &t[HEADER..];
    // To the table's end: the entry count is 0 in the table of QEMU's microvm (qboot).
    while let Some(kind) = rest.first() {
        let size = if *kind == 0 { 20 } else { 8 };
        let Some((e, after)) = rest.split_at_checked(size) else { break };
        rest = after;
        match e[0] {
            0 if e[3] & 1 != 0 => push(&mut topology.cpus, Cpu { apic_id: e[1].into() }),
            1 => pci[usize::from(e[1])] = e[2..].starts_with(b"PCI"),
            2 if e[3] & 1 != 0 => {
                let address = u32_at(e, 4)?.into();
                push(&mut topology.ioapics, IoApic { address, gsi_base: 0 });
            }
            // INT only: NMI, SMI and ExtINT go through the local APICs. Buses come before interrupts (4.3).
            3 if e[1] == 0 && !pci[usize::from(e[4])] => isa_interrupt(&mut topology, e),
            _ => {}
        }
    }
    Some(topology)
}

fn isa_interrupt(t: &mut Topology, e: &[u8]) {
    let (flags, irq, gsi) = (e[2], e[5], u32::from(e[7]));
    let (active_low, level) = (flags & 3 == 3, flags >> 2 & 3 == 3);
    if u32::from(irq) != gsi || active_low || level {
        push(&mut t.overrides, Override { irq, gsi, active_low, level });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::u32_at;
    use alloc::vec;
    use alloc::vec::Vec;

    struct Low(Vec<u8>);
    impl PhysMem for Low {
        fn bytes(&self, phys: u64, len: usize) -> Option<&[u8]> {
            self.0.get(phys as usize..phys as usize + len)
        }
    }

    fn fix(b: &mut [u8], at: usize) {
        b[at] = 0;
        b[at] = 0u8.wrapping_sub(b.iter().fold(0u8, |a, &x| a.wrapping_add(x)));
    }

    fn machine() -> Low {
        let mut config = vec![0u8; HEADER];
        config[..4].copy_from_slice(CONFIG);
        config[36..40].copy_from_slice(&0xfee0_0000u32.to_le_bytes());
        let mut cpu = [0u8; 20];
        (cpu[1], cpu[3]) = (0, 3);
        config.extend(cpu);
        (cpu[1], cpu[3]) = (1, 1);
        config.extend(cpu);
        (cpu[1], cpu[3]) = (2, 0);
        config.extend(cpu);
        config.extend(*b"\x01\x00PCI   ");
        config.extend(*b"\x01\x01ISA   ");
        config.extend([2, 3, 0x11, 1, 0, 0, 0xc0, 0xfe]);
        config.extend([3, 0, 0, 0, 1, 0, 3, 2]); // ISA 0 at pin 2
        config.extend([3, 0, 0, 0, 1, 4, 3, 4]); // ISA 4 at pin 4: no override
        config.extend([3, 0, 15, 0, 0, 3 << 2 | 1, 3, 11]); // PCI device 3, INTB
        config.extend([4, 3, 0, 0, 1, 0, 0xff, 0]);
        let len = config.len() as u16;
        config[4..6].copy_from_slice(&len.to_le_bytes());
        fix(&mut config, 7);
        let mut floating = *b"_MP_\x10\xfc\x09\x00\x01\x04\0\0\0\0\0\0";
        fix(&mut floating, 10);
        let mut mem = vec![0u8; 1 << 20];
        mem[0x9fc00..0x9fc10].copy_from_slice(&floating);
        mem[0x9fc10..0x9fc10 + config.len()].copy_from_slice(&config);
        Low(mem)
    }

    #[test]
    fn firecracker_like() {
        let t = topology(&machine()).expect("found");
        assert_eq!(t.lapic, 0xfee0_0000);
        assert_eq!(t.cpus, [Cpu { apic_id: 0 }, Cpu { apic_id: 1 }]);
        assert_eq!(t.ioapics, [IoApic { address: 0xfec0_0000, gsi_base: 0 }]);
        assert_eq!(t.overrides, [Override { irq: 0, gsi: 2, active_low: false, level: false }]);
    }

    #[test]
    fn damage_is_refused_or_cut() {
        let good = machine();
        let config = 0x9fc10;
        assert_eq!(u32_at(&good.0, config), Some(u32::from_le_bytes(*CONFIG)));
        for i in 0..200 {
            let mut m = Low(good.0.clone());
            m.0[0x9fc00 + i] ^= 0x55;
            // A flipped byte breaks one of the two checksums, or lies past the table.
            let changed = topology(&m);
            assert!(changed.is_none() || changed == topology(&good), "byte {i}");
        }
    }
}
