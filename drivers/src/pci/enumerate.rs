//! Walking the buses.

use super::config::ConfigAccess;
use super::{Bdf, Function, Window};
use alloc::vec::Vec;

struct Walk<'w> {
    access: &'static dyn ConfigAccess,
    window: Option<&'w mut Window>,
    visited: [u64; 4],
    found: Vec<Function>,
}

/// All functions that can be reached from bus 0, following bridges through the bus numbers that firmware gave them.
/// With a window (machines whose firmware leaves PCI alone), unassigned memory BARs get addresses from it; bridges
/// without a bus number are then left out.
pub fn enumerate(access: &'static dyn ConfigAccess, window: Option<&mut Window>) -> Vec<Function> {
    let mut w = Walk { access, window, visited: [0; 4], found: Vec::new() };
    w.bus(0, None, 0);
    w.found
}

impl Walk<'_> {
    fn bus(&mut self, bus: u8, root: Option<Bdf>, swizzle: u8) {
        let (word, bit) = (usize::from(bus / 64), 1 << (bus % 64));
        if self.visited[word] & bit != 0 {
            return;
        }
        self.visited[word] |= bit;
        for device in 0..32 {
            for function in 0..8 {
                let bdf = Bdf { bus, device, function };
                let Some(f) = Function::at(self.access, bdf) else {
                    if function == 0 {
                        break;
                    }
                    continue;
                };
                let single = function == 0 && !f.multifunction();
                self.function(f, root, swizzle);
                if single {
                    break;
                }
            }
        }
    }

    fn function(&mut self, mut f: Function, root: Option<Bdf>, swizzle: u8) {
        // A pin is rotated by the device number at each bridge that it passes (PCI bridge 1.2, 9.1).
        let (here, rotated) = match root {
            Some(r) => (r, (swizzle + f.bdf.device) % 4),
            None => (f.bdf, 0),
        };
        (f.root, f.swizzle) = (here, rotated);
        if f.is_bridge() {
            match f.secondary_bus() {
                0 => libos_base::warn!("pci {}: bridge without a bus number, not followed", f.bdf),
                below if below > f.bdf.bus => self.bus(below, Some(here), rotated),
                _ => {}
            }
        } else if let Some(w) = self.window.as_deref_mut()
            && !f.assign_bars(w)
        {
            libos_base::warn!("pci {}: no address space left for its registers", f.bdf);
        }
        self.found.push(f);
    }
}
