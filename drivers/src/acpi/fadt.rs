//! The FADT: power management registers (ACPI 6.5, 5.2.9 and 4.8).

use super::{Tables, aml, u16_at, u32_at, u64_at};

/// Address space of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// System memory.
    Memory,
    /// I/O ports.
    Port,
}

/// A register (generic address structure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gas {
    /// The address space.
    pub space: Space,
    /// Address or port.
    pub address: u64,
}

impl Gas {
    fn read(t: &[u8], off: usize) -> Option<Self> {
        let address = u64_at(t, off + 4).filter(|&a| a != 0)?;
        match t[off] {
            0 => Some(Self { space: Space::Memory, address }),
            1 if address <= 0xffff => Some(Self { space: Space::Port, address }),
            _ => None,
        }
    }
}

/// The 3.579545 MHz counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PmTimer {
    /// The register.
    pub register: Gas,
    /// 32 bits wide, otherwise 24.
    pub wide: bool,
}

/// What is needed to switch off, to reset, to notice the power button, and to measure time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fadt {
    /// No PM1 registers: sleep control and a generic event device instead.
    pub hardware_reduced: bool,
    /// ISA interrupt (or GSI) of power management events; of the generic event device where that reports them.
    pub sci: u16,
    /// The generic event device of a hardware-reduced machine.
    pub ged: Option<aml::Ged>,
    /// Port and value that switch from legacy to ACPI mode; port 0 when there is nothing to switch.
    pub enable: (u32, u8),
    /// PM1a and PM1b control registers.
    pub control: [Option<Gas>; 2],
    /// PM1a and PM1b event registers: status, then enable at `event_len / 2`.
    pub event: [Option<Gas>; 2],
    /// Bytes in an event block.
    pub event_len: u8,
    /// The power button raises PM1 events (otherwise it is a device in AML, or missing).
    pub fixed_power_button: bool,
    /// Sleep control register (hardware-reduced).
    pub sleep_control: Option<Gas>,
    /// SLP_TYPa and SLP_TYPb for S5, from the DSDT.
    pub s5: Option<(u8, u8)>,
    /// Reset register and the value to write.
    pub reset: Option<(Gas, u8)>,
    /// The PM timer.
    pub pm_timer: Option<PmTimer>,
    /// CMOS index of the century; 0: none.
    pub century: u8,
}

impl Fadt {
    /// Reads the FADT and, for S5, the DSDT. `None` without a FADT.
    pub fn read(tables: &Tables<'_>) -> Option<Self> {
        let t = tables.find(b"FACP")?;
        let flags = u32_at(t, 112).unwrap_or(0);
        let flag = |bit: u32| flags & 1 << bit != 0;
        // The 64-bit fields win if they are present and not zero.
        let block = |narrow: usize, wide: usize| {
            Gas::read(t, wide).or_else(|| {
                let port = u32_at(t, narrow).filter(|p| (1..=0xffff).contains(p))?;
                Some(Gas { space: Space::Port, address: port.into() })
            })
        };
        let byte = |off: usize| t.get(off).copied().unwrap_or(0);
        let hardware_reduced = flag(20);
        let ged = tables.dsdt().filter(|_| hardware_reduced).and_then(aml::ged);
        let timer = block(76, 208).filter(|_| byte(91) == 4 && !hardware_reduced);
        Some(Self {
            hardware_reduced,
            sci: ged.map_or(u16_at(t, 46)?, |g| g.gsi as u16),
            ged,
            enable: (u32_at(t, 48)?, byte(52)),
            control: [block(64, 172), block(68, 184)],
            event: [block(56, 148), block(60, 160)],
            event_len: byte(88),
            fixed_power_button: !hardware_reduced && !flag(4),
            sleep_control: Gas::read(t, 244),
            s5: tables.dsdt().and_then(aml::s5_types),
            reset: Gas::read(t, 116).filter(|_| flag(10)).map(|g| (g, byte(128))),
            pm_timer: timer.map(|register| PmTimer { register, wide: flag(8) }),
            century: byte(108),
        })
    }
}
