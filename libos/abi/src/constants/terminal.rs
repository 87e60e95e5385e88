//! Settings of a terminal: asm-generic/termbits.h.

use crate::layout::Termios;
use crate::macros::{flags, names};

flags! {
    /// struct termios, `c_iflag`.
    InputModes: u32, "" {
        IGNBRK = 1, BRKINT = 2, IGNPAR = 4, PARMRK = 8, INPCK = 0x10, ISTRIP = 0x20, INLCR = 0x40, IGNCR = 0x80,
        ICRNL = 0x100, IUCLC = 0x200, IXON = 0x400, IXANY = 0x800, IXOFF = 0x1000, IMAXBEL = 0x2000, IUTF8 = 0x4000,
    }
    /// struct termios, `c_oflag`.
    OutputModes: u32, "" {
        TABDLY = 0x1800, OPOST = 1, OLCUC = 2, ONLCR = 4, OCRNL = 8, ONOCR = 0x10, ONLRET = 0x20, OFILL = 0x40, OFDEL = 0x80,
    }
    /// struct termios, `c_cflag`.
    ControlModes: u32, "" values 0o10017 { B9600 = 0o15, B38400 = 0o17, BOTHER = 0o10000, B115200 = 0o10002, } {
        CS8 = 0x30, CSTOPB = 0x40, CREAD = 0x80, PARENB = 0x100, PARODD = 0x200, HUPCL = 0x400, CLOCAL = 0x800,
    }
    /// struct termios, `c_lflag`.
    LocalModes: u32, "" {
        ISIG = 1, ICANON = 2, XCASE = 4, ECHO = 8, ECHOE = 0x10, ECHOK = 0x20, ECHONL = 0x40, NOFLSH = 0x80, TOSTOP = 0x100,
        ECHOCTL = 0x200, ECHOPRT = 0x400, ECHOKE = 0x800, FLUSHO = 0x1000, PENDIN = 0x4000, IEXTEN = 0x8000,
    }
}

names! {
    /// struct termios, `c_cc`.
    ControlCharacter: u8, mod cc: usize, "V" {
        INTR = 0, QUIT = 1, ERASE = 2, KILL = 3, EOF = 4, TIME = 5, MIN = 6, START = 8, STOP = 9, SUSP = 10, EOL = 11,
        REPRINT = 12, WERASE = 14, LNEXT = 15, EOL2 = 16,
    }
}

impl ControlModes {
    /// The bits for the speed.
    pub const CBAUD: Self = Self::from_bits_retain(0o10017);
}

impl Termios {
    /// Whether one of these input modes is set.
    pub fn input(&self, modes: InputModes) -> bool {
        self.iflag & modes.bits() != 0
    }
    /// Whether one of these output modes is set.
    pub fn output(&self, modes: OutputModes) -> bool {
        self.oflag & modes.bits() != 0
    }
    /// Whether one of these local modes is set.
    pub fn local(&self, modes: LocalModes) -> bool {
        self.lflag & modes.bits() != 0
    }
    /// Whether `byte` is this control character; 0 stands for none.
    pub fn is(&self, which: usize, byte: u8) -> bool {
        byte != 0 && self.cc[which] == byte
    }
    /// Bits per second, if the speed has a code of its own.
    pub fn speed(&self) -> u32 {
        const LOW: [u32; 16] = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
        const HIGH: [u32; 16] = [
            0, 57600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000,
            2_500_000, 3_000_000, 3_500_000, 4_000_000,
        ];
        let table = if self.cflag & ControlModes::BOTHER.bits() != 0 { HIGH } else { LOW };
        table[self.cflag as usize & 0o17]
    }
}
