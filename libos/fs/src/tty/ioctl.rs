//! Controls of a terminal (ioctl_tty(2)).

use super::file::TtyFile;
use super::{SIGWINCH, Tty};
use crate::console;
use crate::device::makedev;
use crate::kernel_info;
use libos_base::abi::ioctl::{
    FIONREAD, TCFLSH, TCGETS, TCGETS2, TCSBRK, TCSBRKP, TCSETS, TCSETS2, TCSETSF, TCSETSF2, TCSETSW, TCSETSW2, TCXONC,
    TIOCGDEV, TIOCGETD, TIOCGPGRP, TIOCGSID, TIOCOUTQ, TIOCSCTTY, TIOCSETD, TIOCSPGRP, TIOCSTI, TIOCSWINSZ,
};
use libos_base::abi::{ControlModes, InputModes, IoctlArgument, LocalModes, Termios, Termios2, cc};
use libos_base::{Errno, Result, user};

pub(super) fn ioctl(file: &TtyFile, cmd: u32, arg: IoctlArgument) -> Result<usize> {
    let tty = &*file.tty;
    let number = arg.0 as i32;
    match cmd {
        TCGETS => user::write(arg.to(), &tty.state.lock().settings)?,
        TCGETS2 => {
            let s = tty.state.lock();
            let all = Termios2 { base: s.settings, ispeed: s.speeds.0, ospeed: s.speeds.1 };
            drop(s);
            user::write(arg.to(), &all)?;
        }
        TCSETS | TCSETSW | TCSETSF => {
            let new: Termios = user::read(arg.to())?;
            tty.change(new, (new.speed(), new.speed()), cmd - TCSETS)?;
        }
        TCSETS2 | TCSETSW2 | TCSETSF2 => {
            let new: Termios2 = user::read(arg.to())?;
            let other = new.base.cflag & ControlModes::CBAUD.bits() == ControlModes::BOTHER.bits();
            let speeds = if other { (new.ispeed, new.ospeed) } else { (new.base.speed(), new.base.speed()) };
            tty.change(new.base, speeds, cmd - TCSETS2)?;
        }
        // A break has no meaning here; draining does.
        TCSBRK | TCSBRKP => tty.with_output(false, |_| ())?,
        TCXONC => match number {
            0 => tty.set_stopped(true),
            1 => tty.set_stopped(false),
            2 | 3 => {
                let s = tty.state.lock();
                let byte = s.settings.cc[if number == 2 { cc::STOP } else { cc::START }];
                drop(s);
                if byte != 0 {
                    tty.with_output(false, |s| s.out.pending.push_back(byte))?;
                    tty.look();
                }
            }
            _ => return Err(Errno::EINVAL),
        },
        TCFLSH => {
            if !(0..=2).contains(&number) {
                return Err(Errno::EINVAL);
            }
            let mut s = tty.state.lock();
            if number != 1 {
                s.line.flush();
            }
            if number != 0 {
                s.out.pending.clear();
            }
            drop(s);
            tty.look();
        }
        // One process, one session, one terminal: the program leads the session, and is in the foreground.
        TIOCSCTTY => {}
        TIOCGPGRP | TIOCGSID => user::write(arg.to(), &(kernel_info::PID as i32))?,
        TIOCSPGRP => {
            let group: i32 = user::read(arg.to())?;
            if group < 0 {
                return Err(Errno::EINVAL);
            }
            if group != kernel_info::PID as i32 {
                return Err(Errno::ESRCH);
            }
        }
        TIOCOUTQ => user::write(arg.to(), &(tty.state.lock().out.pending.len() as i32))?,
        FIONREAD => {
            let s = tty.state.lock();
            let n = s.line.available(&s.settings) as i32;
            drop(s);
            user::write(arg.to(), &n)?;
        }
        TIOCSTI => {
            let byte: u8 = user::read(arg.to())?;
            tty.inject(byte);
        }
        libos_base::abi::ioctl::TIOCGWINSZ => user::write(arg.to(), &console::window())?,
        TIOCSWINSZ => {
            if console::set_window(user::read(arg.to())?) {
                (tty.signal)(SIGWINCH);
            }
        }
        TIOCGETD => user::write(arg.to(), &0i32)?,
        // N_TTY is the only discipline.
        TIOCSETD if user::read::<i32>(arg.to())? == 0 => {}
        TIOCSETD => return Err(Errno::EINVAL),
        // The number of /dev/console.
        TIOCGDEV => user::write(arg.to(), &(makedev(5, 1) as u32))?,
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

impl Tty {
    /// Applies new settings; `how`: at once (0), after output was handed over (1), or also discarding typed input (2).
    fn change(&self, new: Termios, speeds: (u32, u32), how: u32) -> Result<()> {
        if how > 0 {
            self.with_output(false, |_| ())?;
        }
        let new = super::termios::accepted(new);
        let mut s = self.state.lock();
        let old = s.settings;
        s.line.change(&old, &new);
        if how == 2 {
            s.line.flush();
        }
        if old.input(InputModes::IXON) && !new.input(InputModes::IXON) {
            s.stopped = false;
        }
        s.settings = new;
        s.speeds = speeds;
        drop(s);
        // Without lines, what was typed is readable now.
        if old.local(LocalModes::ICANON) != new.local(LocalModes::ICANON) || old.iflag != new.iflag {
            self.look();
        }
        Ok(())
    }

    fn inject(&self, byte: u8) {
        let signal = self.state.lock().receive(byte);
        if let Some(signal) = signal {
            (self.signal)(signal);
        }
        self.look();
    }
}
