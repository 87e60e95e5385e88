//! Switching off, resetting, and the power button.

use crate::acpi::{Fadt, Gas, Ged};
use crate::mmio::Mmio;
use crate::port;
use crate::register::Reg;

const SCI_EN: u16 = 1;
const SLP_EN: u16 = 1 << 13;
const SLEEP_ENABLE: u8 = 1 << 5;
const POWER_BUTTON: u16 = 1 << 8;
const I8042: u16 = 0x64;
const I8042_RESET: u8 = 0xfe;
/// How often to check SCI_EN before assuming ACPI mode.
const PATIENCE: u32 = 100_000;

/// The machine's power controls.
#[derive(Clone, Copy, Default)]
pub struct Power {
    control: [Option<Reg>; 2],
    event: [Option<Reg>; 2],
    /// Offset of the enable register in an event block.
    event_enable: u16,
    /// The generic event device, and the power button's bit.
    ged: Option<(Mmio, u32)>,
    sleep_control: Option<Reg>,
    s5: Option<(u8, u8)>,
    reset: Option<(Reg, u8)>,
}

impl Power {
    /// Maps what the FADT names. Without ACPI use [`Power::default`]: only the keyboard controller can reset then.
    pub fn new(f: &Fadt) -> Self {
        let map = |g: Option<Gas>| g.and_then(Reg::new);
        Self {
            control: if f.hardware_reduced { [None; 2] } else { f.control.map(map) },
            event: if f.fixed_power_button && f.event_len >= 4 { f.event.map(map) } else { [None; 2] },
            event_enable: u16::from(f.event_len) / 2,
            // SAFETY: the event device's register, as firmware says.
            ged: f.ged.and_then(|g: Ged| Some((unsafe { Mmio::map(g.selector, 4) }?, g.power_button))),
            sleep_control: map(f.sleep_control),
            s5: f.s5,
            reset: f.reset.and_then(|(g, v)| Some((Reg::new(g)?, v))),
        }
    }

    /// Leaves legacy mode, so that events interrupt (ACPI 6.5, 4.8.2.5), and lets the power button do so. The SCI is
    /// `Fadt::sci`: level-triggered, active low unless an override says otherwise. Returns whether there is a button.
    pub fn enable_button(&self, f: &Fadt) -> bool {
        if self.ged.is_some() {
            return true;
        }
        let (Some(control), Some(event)) = (self.control[0], self.event[0]) else { return false };
        if control.read16(0) & SCI_EN == 0
            && let (port @ 1..=0xffff, value) = f.enable
        {
            // SAFETY: the SMI command port; firmware answers by setting SCI_EN.
            unsafe { port::out8(port as u16, value) };
            for _ in 0..PATIENCE {
                if control.read16(0) & SCI_EN != 0 {
                    break;
                }
                core::hint::spin_loop();
            }
        }
        event.write16(0, POWER_BUTTON);
        event.write16(self.event_enable, POWER_BUTTON);
        true
    }

    /// For the SCI's handler: whether the button was pressed. Clears all events, so that the interrupt line is released.
    pub fn button_pressed(&self) -> bool {
        let mut pressed = self.ged.is_some_and(|(r, bit)| r.read32(0) & bit != 0);
        for e in self.event.iter().flatten() {
            let status = e.read16(0);
            if status != 0 {
                e.write16(0, status);
            }
            pressed |= status & POWER_BUTTON != 0;
        }
        pressed
    }

    /// Switches off (S5). Returns when the machine has no way to do it, or did not do it at once: the caller waits a
    /// moment (the monitor may act a little later) and then continues with [`Self::reset`].
    pub fn off(&self) {
        let (a, b) = self.s5.unwrap_or((0, 0));
        if let Some(r) = self.sleep_control
            && self.control[0].is_none()
        {
            // QEMU's and Cloud Hypervisor's register takes S5 = 5 when the DSDT does not say.
            let typ = self.s5.map_or(5, |s| s.0);
            r.write8(typ << 2 | SLEEP_ENABLE);
        }
        if self.s5.is_some() {
            for (r, typ) in self.control.iter().zip([a, b]) {
                if let Some(r) = r {
                    // Other bits are kept; SLP_TYP is bits 10 to 12.
                    let rest = r.read16(0) & !(7 << 10 | SLP_EN);
                    r.write16(0, rest | u16::from(typ) << 10 | SLP_EN);
                }
            }
        }
    }

    /// Resets: the keyboard controller first (Firecracker exits on it), then ACPI's register, then a triple fault (the
    /// only way on microvm without ACPI). Not for Cloud Hypervisor's normal exit: there it boots again.
    pub fn reset(&self) -> ! {
        // SAFETY: pulses the reset line; the machine starts over or ends.
        unsafe { port::out8(I8042, I8042_RESET) };
        for _ in 0..PATIENCE {
            core::hint::spin_loop();
        }
        if let Some((r, v)) = self.reset {
            r.write8(v);
        }
        for _ in 0..PATIENCE {
            core::hint::spin_loop();
        }
        let none = [0u16; 5];
        // SAFETY: with an empty IDT the breakpoint cannot be delivered, nor can the faults that follow: the processor
        // shuts down, and the machine resets or ends. Nothing runs after it.
        unsafe { core::arch::asm!("cli", "lidt [{}]", "int3", "2: hlt", "jmp 2b", in(reg) &none, options(noreturn)) }
    }
}
