use super::*;
use crate::platform::Irq;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use std::sync::Mutex;

/// Configuration space in memory: registers, and which bits of them can be written.
#[derive(Default)]
struct Fake(Mutex<BTreeMap<Bdf, Space>>);

#[derive(Clone)]
struct Space {
    regs: [u32; 64],
    writable: [u32; 64],
}

impl ConfigAccess for Fake {
    fn read(&self, bdf: Bdf, offset: u16) -> u32 {
        self.0.lock().unwrap().get(&bdf).map_or(!0, |s| s.regs[usize::from(offset / 4)])
    }
    fn write(&self, bdf: Bdf, offset: u16, value: u32) {
        if let Some(s) = self.0.lock().unwrap().get_mut(&bdf) {
            let i = usize::from(offset / 4);
            s.regs[i] = s.regs[i] & !s.writable[i] | value & s.writable[i];
        }
    }
}

const fn bdf(bus: u8, device: u8, function: u8) -> Bdf {
    Bdf { bus, device, function }
}

fn space(id: u32, header: u32) -> Space {
    let mut s = Space { regs: [0; 64], writable: [0; 64] };
    (s.regs[0], s.regs[3]) = (id, header << 16);
    s.writable[1] = 0x0507;
    s
}

/// A transitional virtio-net: I/O BAR 0, memory BAR 1, wide BAR 4; vendor capabilities and MSI-X.
fn net() -> Space {
    let mut s = space(0x1000_1af4, 0);
    s.regs[1] = 1 << 20;
    s.regs[0x2c / 4] = 1 << 16;
    s.regs[0x3c / 4] = 0x010b;
    (s.regs[4], s.writable[4]) = (0xc001, !31);
    (s.regs[5], s.writable[5]) = (0xfebf_1000, !0xfff);
    (s.regs[8], s.writable[8], s.writable[9]) = (0xc, !0x3fff, !0);
    s.regs[0x34 / 4] = 0x98;
    let mut cap = |at: usize, words: &[u32]| s.regs[at / 4..at / 4 + words.len()].copy_from_slice(words);
    cap(0x98, &[0x0002_8411, 0x0000_0001, 0x0000_0801]);
    cap(0x84, &[0x0514_7009, 0, 0, 0, 0]);
    cap(0x70, &[0x0214_6009, 4, 0x3000, 0x1000, 4]);
    cap(0x60, &[0x0410_5009, 4, 0x2000, 0x1000]);
    cap(0x50, &[0x0310_4009, 4, 0x1000, 0x1000]);
    cap(0x40, &[0x0110_0009, 4, 0x0000, 0x1000]);
    s
}

fn bridge(bus: u32, secondary: u32) -> Space {
    let mut s = space(0x000c_1b36, 1);
    s.regs[0x18 / 4] = secondary << 16 | secondary << 8 | bus;
    s
}

fn machine(parts: &[(Bdf, Space)]) -> &'static Fake {
    Box::leak(Box::new(Fake(Mutex::new(parts.iter().cloned().collect()))))
}

#[test]
fn capabilities_in_order() {
    let m = machine(&[(bdf(0, 3, 0), net())]);
    let f = Function::at(m, bdf(0, 3, 0)).unwrap();
    let caps: Vec<_> = f.capabilities().map(|c| (c.id, c.offset)).collect();
    assert_eq!(caps, [(0x11, 0x98), (9, 0x84), (9, 0x70), (9, 0x60), (9, 0x50), (9, 0x40)]);
}

#[test]
fn capability_loops_and_strays_end() {
    let mut s = net();
    s.regs[0x40 / 4] = 0x0110_9809; // back to the first
    let m = machine(&[(bdf(0, 3, 0), s.clone())]);
    assert_eq!(Function::at(m, bdf(0, 3, 0)).unwrap().capabilities().count(), 48);
    s.regs[0x98 / 4] = 0x0002_0411; // into the header
    let m = machine(&[(bdf(0, 3, 0), s.clone())]);
    assert_eq!(Function::at(m, bdf(0, 3, 0)).unwrap().capabilities().count(), 1);
    s.regs[1] = 0; // no list
    let m = machine(&[(bdf(0, 3, 0), s)]);
    assert_eq!(Function::at(m, bdf(0, 3, 0)).unwrap().capabilities().count(), 0);
}

#[test]
fn bars_of_every_kind() {
    let m = machine(&[(bdf(0, 3, 0), net())]);
    let f = Function::at(m, bdf(0, 3, 0)).unwrap();
    f.enable();
    assert_eq!(f.bar(0), Some(Bar { memory: false, wide: false, address: 0xc000 }));
    assert_eq!(f.bar(1), Some(Bar { memory: true, wide: false, address: 0xfebf_1000 }));
    assert_eq!(f.bar(4), Some(Bar { memory: true, wide: true, address: 0 }));
    assert_eq!(f.bar(6), None);
    let mut w = Window { next: 0xc000_1000, end: 0xc000_8000 };
    assert!(f.assign_bars(&mut w));
    assert_eq!(f.read32(4) & 7, 7, "decoding is on again");
    assert_eq!(f.bar(4).map(|b| b.address), Some(0xc000_4000));
    assert_eq!(f.read32(0x20) & 0xf, 0xc, "the flags stay");
    assert_eq!((f.read32(0x10), f.read32(0x14)), (0xc001, 0xfebf_1000), "assigned ones stay");
    assert_eq!([0x18, 0x1c].map(|r| f.read32(r)), [0; 2], "what is not implemented gets nothing");
    let again = machine(&[(bdf(0, 3, 0), net())]);
    assert!(!Function::at(again, bdf(0, 3, 0)).unwrap().assign_bars(&mut w), "the window is used up");
}

#[test]
fn virtio_structures() {
    use crate::virtio::transport::structures_of;
    let m = machine(&[(bdf(0, 3, 0), net())]);
    let s = structures_of(&Function::at(m, bdf(0, 3, 0)).unwrap()).unwrap();
    assert_eq!(s, ([(4, 0x0000), (4, 0x3000), (4, 0x1000)], 4, Some((4, 0x2000))));
    let mut legacy = net();
    legacy.regs[0x34 / 4] = 0;
    let m = machine(&[(bdf(0, 3, 0), legacy)]);
    assert_eq!(structures_of(&Function::at(m, bdf(0, 3, 0)).unwrap()), None);
}

#[test]
fn bridges_and_pins() {
    let m = machine(&[
        (bdf(0, 0, 0), space(0x29c0_8086, 0)),
        (bdf(0, 2, 0), {
            let mut b = bridge(0, 1);
            b.regs[3] |= 0x80 << 16;
            b
        }),
        (bdf(0, 2, 5), bridge(0, 2)),
        (bdf(0, 4, 0), bridge(0, 0)), // never numbered
        (bdf(0, 5, 0), bridge(0, 1)), // the same bus again
        (bdf(1, 0, 0), net()),
        (bdf(2, 3, 0), bridge(2, 3)),
        (bdf(3, 2, 0), net()),
        (bdf(9, 0, 0), net()),
    ]);
    let all = enumerate(m, None);
    let found: Vec<_> = all.iter().map(|f| f.bdf).collect();
    let want = [
        bdf(0, 0, 0),
        bdf(1, 0, 0),
        bdf(0, 2, 0),
        bdf(3, 2, 0),
        bdf(2, 3, 0),
        bdf(0, 2, 5),
        bdf(0, 4, 0),
        bdf(0, 5, 0),
    ];
    assert_eq!(found, want);
    let pin = |b: Bdf| all.iter().find(|f| f.bdf == b).unwrap().intx();
    assert_eq!(pin(bdf(1, 0, 0)), Irq::IntxPin { line: 11, pin: 1, root: bdf(0, 2, 0) });
    // INTA of device 2, then through device 3 on bus 2: (0 + 2 + 3) mod 4.
    assert_eq!(pin(bdf(3, 2, 0)), Irq::IntxPin { line: 11, pin: 2, root: bdf(0, 2, 5) });
    assert_eq!(pin(bdf(0, 0, 0)), Irq::None);
    assert_eq!((q35_gsi(1, 1), q35_gsi(2, 4), q35_gsi(31, 1)), (21, 21, 16));
}
