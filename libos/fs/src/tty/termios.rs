//! The settings of a new terminal, and which requested settings take effect: as for a Linux pseudo terminal.

use libos_base::abi::{ControlModes, InputModes, LocalModes, OutputModes, Termios};

/// The initial settings.
pub const NEW: Termios = Termios {
    iflag: InputModes::ICRNL.union(InputModes::IXON).bits(),
    oflag: OutputModes::OPOST.union(OutputModes::ONLCR).bits(),
    cflag: ControlModes::B38400.union(ControlModes::CS8).union(ControlModes::CREAD).bits(),
    lflag: LocalModes::ISIG
        .union(LocalModes::ICANON)
        .union(LocalModes::ECHO)
        .union(LocalModes::ECHOE)
        .union(LocalModes::ECHOK)
        .union(LocalModes::ECHOCTL)
        .union(LocalModes::ECHOKE)
        .union(LocalModes::IEXTEN)
        .bits(),
    line: 0,
    cc: [3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16, 0, 0, 0],
};

/// There are no bits on a wire, so the character format is fixed.
pub fn accepted(wanted: Termios) -> Termios {
    let always = ControlModes::CS8 | ControlModes::CREAD;
    let cflag = wanted.cflag & !(ControlModes::CS8 | ControlModes::PARENB).bits() | always.bits();
    Termios { cflag, line: 0, ..wanted }
}
