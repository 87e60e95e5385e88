//! Terminal settings (asm-generic/termbits.h), and what a new terminal has: what Linux gives a pseudo terminal.

use libos_base::abi_struct;

/// Control characters of the kernel's `struct termios`.
pub const NCCS: usize = 19;

abi_struct! {
    /// struct termios.
    Termios { iflag: u32, oflag: u32, cflag: u32, lflag: u32, line: u8, cc: [u8; NCCS], }
}
abi_struct! {
    /// struct termios2.
    Termios2 { base: Termios, ispeed: u32, ospeed: u32, }
}

/// `c_iflag`.
pub mod i {
    pub const IGNPAR: u32 = 0o4;
    pub const PARMRK: u32 = 0o10;
    pub const ISTRIP: u32 = 0o40;
    pub const INLCR: u32 = 0o100;
    pub const IGNCR: u32 = 0o200;
    pub const ICRNL: u32 = 0o400;
    pub const IUCLC: u32 = 0o1000;
    pub const IXON: u32 = 0o2000;
    pub const IXANY: u32 = 0o4000;
    pub const IUTF8: u32 = 0o40000;
}

/// `c_oflag`.
pub mod o {
    pub const OPOST: u32 = 0o1;
    pub const OLCUC: u32 = 0o2;
    pub const ONLCR: u32 = 0o4;
    pub const OCRNL: u32 = 0o10;
    pub const ONOCR: u32 = 0o20;
    pub const ONLRET: u32 = 0o40;
    pub const TABDLY: u32 = 0o14000;
    pub const XTABS: u32 = 0o14000;
}

/// `c_cflag`.
pub mod c {
    pub const CS8: u32 = 0o60;
    pub const CREAD: u32 = 0o200;
    pub const CSIZE: u32 = 0o60;
    pub const PARENB: u32 = 0o400;
    pub const B38400: u32 = 0o17;
}

/// `c_lflag`.
pub mod l {
    pub const ISIG: u32 = 0o1;
    pub const ICANON: u32 = 0o2;
    pub const ECHO: u32 = 0o10;
    pub const ECHOE: u32 = 0o20;
    pub const ECHOK: u32 = 0o40;
    pub const ECHONL: u32 = 0o100;
    pub const NOFLSH: u32 = 0o200;
    pub const ECHOCTL: u32 = 0o1000;
    pub const ECHOPRT: u32 = 0o2000;
    pub const ECHOKE: u32 = 0o4000;
    pub const IEXTEN: u32 = 0o100000;
}

/// Indices of `c_cc`.
pub mod v {
    pub const INTR: usize = 0;
    pub const QUIT: usize = 1;
    pub const ERASE: usize = 2;
    pub const KILL: usize = 3;
    pub const EOF: usize = 4;
    pub const TIME: usize = 5;
    pub const MIN: usize = 6;
    pub const START: usize = 8;
    pub const STOP: usize = 9;
    pub const SUSP: usize = 10;
    pub const EOL: usize = 11;
    pub const REPRINT: usize = 12;
    pub const WERASE: usize = 14;
    pub const LNEXT: usize = 15;
    pub const EOL2: usize = 16;
}

/// "No such character" in `c_cc`.
pub const DISABLED: u8 = 0;

impl Termios {
    /// A new terminal's.
    pub const NEW: Self = Self {
        iflag: i::ICRNL | i::IXON,
        oflag: o::OPOST | o::ONLCR,
        cflag: c::B38400 | c::CS8 | c::CREAD,
        lflag: l::ISIG | l::ICANON | l::ECHO | l::ECHOE | l::ECHOK | l::ECHOCTL | l::ECHOKE | l::IEXTEN,
        line: 0,
        cc: [3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16, 0, 0, 0],
    };

    /// What of a program's wish takes effect: there are no bits on a wire (as Linux's pseudo terminals have it).
    pub fn accepted(self) -> Self {
        Self { cflag: self.cflag & !(c::CSIZE | c::PARENB) | c::CS8 | c::CREAD, line: 0, ..self }
    }
    /// Whether input flag `f` is set.
    pub fn i(&self, f: u32) -> bool {
        self.iflag & f != 0
    }
    /// Whether output flag `f` is set.
    pub fn o(&self, f: u32) -> bool {
        self.oflag & f != 0
    }
    /// Whether local flag `f` is set.
    pub fn l(&self, f: u32) -> bool {
        self.lflag & f != 0
    }
    /// Whether `byte` is this control character.
    pub fn is(&self, which: usize, byte: u8) -> bool {
        byte != DISABLED && self.cc[which] == byte
    }
    /// Bits per second of `c_cflag` (CBAUD).
    pub fn speed(&self) -> u32 {
        const LOW: [u32; 16] = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
        const HIGH: [u32; 16] = [
            0, 57600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000,
            2_500_000, 3_000_000, 3_500_000, 4_000_000,
        ];
        let table = if self.cflag & 0o10000 != 0 { HIGH } else { LOW };
        table[self.cflag as usize & 0o17]
    }
}
