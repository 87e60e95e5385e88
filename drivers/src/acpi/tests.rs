use super::*;
use crate::pci::Window;
use crate::topology::{Cpu, IoApic, Override};
use crate::virtio::MmioSlot;
use alloc::vec;
use alloc::vec::Vec;

/// Pieces of memory.
#[derive(Clone, Default)]
struct Memory(Vec<(u64, Vec<u8>)>);

impl PhysMem for Memory {
    fn bytes(&self, phys: u64, len: usize) -> Option<&[u8]> {
        self.0.iter().find_map(|(at, b)| {
            let off = usize::try_from(phys.checked_sub(*at)?).ok()?;
            b.get(off..off.checked_add(len)?)
        })
    }
}

fn seal(b: &mut [u8], at: usize) {
    b[at] = 0;
    b[at] = 0u8.wrapping_sub(b.iter().fold(0u8, |a, &x| a.wrapping_add(x)));
}

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut t = vec![0; 36];
    t[..4].copy_from_slice(signature);
    t.extend_from_slice(body);
    let len = t.len() as u32;
    t[4..8].copy_from_slice(&len.to_le_bytes());
    seal(&mut t, 9);
    t
}

fn rsdp(rsdt: u32, xsdt: Option<u64>) -> Vec<u8> {
    let mut r = vec![0; 36];
    r[..8].copy_from_slice(b"RSD PTR ");
    r[16..20].copy_from_slice(&rsdt.to_le_bytes());
    if let Some(x) = xsdt {
        r[15] = 2;
        r[24..32].copy_from_slice(&x.to_le_bytes());
    }
    seal(&mut r[..20], 8);
    seal(&mut r, 32);
    r
}

fn madt() -> Vec<u8> {
    let mut b = Vec::new();
    b.extend(0xfee0_0000u32.to_le_bytes());
    b.extend(1u32.to_le_bytes());
    b.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    b.extend([0, 8, 1, 4, 1, 0, 0, 0]);
    b.extend([0, 8, 2, 5, 0, 0, 0, 0]); // disabled
    b.extend([9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]);
    b.extend([1, 12, 7, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
    b.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
    b.extend([2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0]);
    b.extend([4, 6, 0xff, 0, 0, 1]);
    table(b"APIC", &b)
}

/// `Name (_S5_, Package () { a, b, Zero, Zero })` as QEMU (constants) or others (byte prefixes) write it.
fn dsdt(s5: &[u8]) -> Vec<u8> {
    let mut b = vec![0x10, 0x20];
    b.extend(b"_S5_ decoy ");
    b.extend(s5);
    for (n, gsi) in [(0u32, 16u32), (1, 17)] {
        b.extend(b"\x08_HID\x0dLNRO0005\0\x08_CRS\x11\x1a\x0a\x17");
        b.extend([0x86, 9, 0, 1]);
        b.extend((0xfeb0_0000u32 + n * 512).to_le_bytes());
        b.extend(512u32.to_le_bytes());
        b.extend([0x89, 6, 0, 1, 1]);
        b.extend(gsi.to_le_bytes());
        b.extend([0x79, 0]);
    }
    b.extend([0x87, 0x17, 0, 0, 0x0c, 3]);
    for v in [0u32, 0xc000_0000, 0xdfff_ffff, 0, 0x2000_0000] {
        b.extend(v.to_le_bytes());
    }
    table(b"DSDT", &b)
}

const QEMU_S5: &[u8] = b"\x08_S5_\x12\x06\x04\x00\x00\x00\x00";

fn fadt(dsdt: u32, wide: bool) -> Vec<u8> {
    let mut b = vec![0u8; if wide { 268 - 36 } else { 116 - 36 }];
    let mut put = |at: usize, v: &[u8]| b[at - 36..at - 36 + v.len()].copy_from_slice(v);
    put(40, &dsdt.to_le_bytes());
    put(46, &9u16.to_le_bytes());
    put(48, &0xb2u32.to_le_bytes());
    put(52, &[2]);
    put(56, &0x600u32.to_le_bytes());
    put(64, &0x604u32.to_le_bytes());
    put(76, &0x608u32.to_le_bytes());
    put(88, &[4, 2, 0, 4]);
    put(108, &[0x32]);
    if wide {
        put(112, &(1u32 << 10 | 1 << 20).to_le_bytes());
        put(116, &[0, 8, 0, 0, 0, 2, 0xa0, 0xfe, 0, 0, 0, 0, 0x42]);
        put(244, &[0, 8, 0, 0, 0, 1, 0xa0, 0xfe, 0, 0, 0, 0]);
    }
    table(b"FACP", &b)
}

fn machine(xsdt: bool, s5: &[u8]) -> Memory {
    let mcfg = {
        let mut b = vec![0; 8];
        b.extend(0xb000_0000u64.to_le_bytes());
        b.extend([0, 0, 0, 0xff, 0, 0, 0, 0]);
        table(b"MCFG", &b)
    };
    let hpet = {
        let mut b = vec![0; 4];
        b.extend([0, 64, 0, 0, 0, 0, 0xd0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0]);
        table(b"HPET", &b)
    };
    let tables =
        [(0x7000_1000u32, fadt(0x7000_0000, xsdt)), (0x7000_2000, madt()), (0x7000_3000, mcfg), (0x7000_4000, hpet)];
    let root = match xsdt {
        true => table(b"XSDT", &tables.iter().flat_map(|t| u64::from(t.0).to_le_bytes()).collect::<Vec<_>>()),
        false => table(b"RSDT", &tables.iter().flat_map(|t| t.0.to_le_bytes()).collect::<Vec<_>>()),
    };
    let mut m = Memory::default();
    m.0.push((0x400, vec![0; 256]));
    let mut bios = vec![0; 0x20000];
    let r = if xsdt { rsdp(0, Some(0x7000_5000)) } else { rsdp(0x7000_5000, None) };
    bios[0x1230..0x1230 + 36].copy_from_slice(&r);
    m.0.push((0xe0000, bios));
    m.0.push((0x7000_5000, root));
    m.0.push((0x7000_0000, dsdt(s5)));
    m.0.extend(tables.into_iter().map(|(at, t)| (at.into(), t)));
    m
}

#[test]
fn pc_with_rsdt() {
    let m = machine(false, QEMU_S5);
    assert_eq!(scan_rsdp(&m), Some(0xe1230));
    let t = Tables::new(&m, 0xe1230).unwrap();
    let top = topology(&t).unwrap();
    assert_eq!(top.lapic, 0xfee0_0000);
    assert_eq!(top.cpus, [Cpu { apic_id: 0 }, Cpu { apic_id: 4 }, Cpu { apic_id: 300 }]);
    assert_eq!(top.ioapics, [IoApic { address: 0xfec0_0000, gsi_base: 0 }]);
    let o = |irq, gsi, active_low, level| Override { irq, gsi, active_low, level };
    assert_eq!(top.overrides, [o(0, 2, false, false), o(9, 9, true, true)]);
    let f = Fadt::read(&t).unwrap();
    let port = |p| Some(Gas { space: Space::Port, address: p });
    assert_eq!((f.sci, f.enable, f.century), (9, (0xb2, 2), 0x32));
    assert_eq!((f.control, f.event, f.event_len), ([port(0x604), None], [port(0x600), None], 4));
    assert_eq!(f.s5, Some((0, 0)));
    assert_eq!(f.pm_timer, Some(PmTimer { register: port(0x608).unwrap(), wide: false }));
    assert!(f.fixed_power_button && !f.hardware_reduced && f.reset.is_none() && f.sleep_control.is_none());
    assert_eq!(mcfg(&t), Some(Mcfg { base: 0xb000_0000, buses: (0, 255) }));
    assert_eq!(hpet_address(&t), Some(0xfed0_0000));
}

#[test]
fn microvm_with_xsdt() {
    let m = machine(true, b"\x08_S5_\x12\x08\x04\x0a\x05\x0a\x05\x00\x00");
    let t = Tables::new(&m, scan_rsdp(&m).unwrap()).unwrap();
    let f = Fadt::read(&t).unwrap();
    let memory = |address| Gas { space: Space::Memory, address };
    assert!(f.hardware_reduced && !f.fixed_power_button && f.pm_timer.is_none());
    assert_eq!((f.sleep_control, f.reset), (Some(memory(0xfea0_0100)), Some((memory(0xfea0_0200), 0x42))));
    assert_eq!(f.s5, Some((5, 5)));
    let slot = |base, gsi| MmioSlot { base, size: 512, gsi: Some(gsi) };
    assert_eq!(virtio_mmio(t.dsdt().unwrap()), [slot(0xfeb0_0000, 16), slot(0xfeb0_0200, 17)]);
    assert_eq!(pci_window(t.dsdt().unwrap()), Some(Window { next: 0xc000_0000, end: 0xe000_0000 }));
}

#[test]
fn s5_encodings() {
    let s5 = |name: &[u8]| s5_types(&dsdt(name));
    assert_eq!(s5(b"\x08\\_S5_\x12\x06\x04\x01\x01\x00\x00"), Some((1, 1)));
    assert_eq!(s5(b"\x08_S5_\x12\x47\x00\x02\x0a\x07\x01\x00"), Some((7, 1)), "two-byte length");
    assert_eq!(s5(b"\x08_S5_\x12\x03\x01\x01"), Some((1, 1)), "one element");
    assert_eq!(s5(b""), None, "the decoy is no name");
    assert_eq!(s5_types(b"short"), None);
}

#[test]
fn ecam_without_mcfg() {
    let base = |aml: &[u8]| super::aml::ecam_base(&table(b"DSDT", aml));
    assert_eq!(base(b"\x14\x0c_CBA\x00\xa4\x0c\x00\x00\x00\xe0"), Some(0xe000_0000));
    assert_eq!(base(b"\x08_CBA\x0e\x00\x00\x00\x00\x01\x00\x00\x00"), Some(1 << 32));
    assert_eq!(base(b"\x14\x0c_CBA\x00\xa4\x00"), None);
    assert_eq!(base(b"_CBA"), None);
}

#[test]
fn event_device() {
    let body = b"\x0dACPI0013\0\x11\x0e\x0a\x0b\x89\x06\x00\x07\x01\x09\x00\x00\x00\x79\x00\x5b\x80EREG\x00\x0c\x00\x00\xa0\xfe\x0a\x04";
    let mut t = table(b"DSDT", body);
    assert_eq!(super::aml::ged(&t), None, "another monitor's bits are unknown");
    t[10..16].copy_from_slice(b"BOCHS ");
    assert_eq!(super::aml::ged(&t), Some(Ged { gsi: 9, selector: 0xfea0_0000, power_button: 2 }));
    for cut in 36..t.len() {
        let _ = super::aml::ged(&t[..cut]);
    }
}

#[test]
fn damage_never_panics() {
    let good = machine(true, QEMU_S5);
    for piece in 1..good.0.len() {
        let len = good.0[piece].1.len().min(300);
        for i in 0..len {
            for flip in [0x01, 0x80, 0xff] {
                let mut m = good.clone();
                m.0[piece].1[i] ^= flip;
                // Sealed again, so that the parsers get to see it.
                if piece > 1 {
                    seal(&mut m.0[piece].1, 9);
                }
                if let Some(t) = scan_rsdp(&m).and_then(|r| Tables::new(&m, r)) {
                    let _ = (topology(&t), Fadt::read(&t), mcfg(&t), hpet_address(&t));
                    let _ = t.dsdt().map(|d| (virtio_mmio(d), pci_window(d)));
                }
            }
        }
        let mut cut = good.clone();
        cut.0[piece].1.truncate(40);
        let _ = scan_rsdp(&cut).and_then(|r| Tables::new(&cut, r)).map(|t| (topology(&t), Fadt::read(&t).is_some()));
    }
}
