//! Signal numbers and sets: asm/signal.h, asm-generic/signal-defs.h, asm-generic/siginfo.h.

use crate::layout::{SigAction, StackT};
use crate::macros::{flags, names};

/// A set of signals: bit n-1 is signal n, as in the kernel's sigset_t.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl crate::arg::Pointee for SigSet {
    const SHAPE: crate::arg::Shape = crate::arg::Shape::SigSet;
}

names! {
    /// A signal number from a program: anything, unless [`valid`] says that it is one.
    Signo: i32, "SIG" {
        HUP = 1, INT = 2, QUIT = 3, ILL = 4, TRAP = 5, ABRT = 6, BUS = 7, FPE = 8, KILL = 9, USR1 = 10, SEGV = 11,
        USR2 = 12, PIPE = 13, ALRM = 14, TERM = 15, STKFLT = 16, CHLD = 17, CONT = 18, STOP = 19, TSTP = 20, TTIN = 21,
        TTOU = 22, URG = 23, XCPU = 24, XFSZ = 25, VTALRM = 26, PROF = 27, WINCH = 28, IO = 29, PWR = 30, SYS = 31,
    }
    /// rt_sigprocmask(2).
    MaskHow: i32, "SIG_" { BLOCK = 0, UNBLOCK = 1, SETMASK = 2, }
    /// struct siginfo, `si_code`: who sent it.
    SignalCode: i32, mod code: i32, "SI_" {
        USER = 0, KERNEL = 0x80, QUEUE = -1, TIMER = -2, MESGQ = -3, ASYNCIO = -4, SIGIO = -5, TKILL = -6,
    }
}

flags! {
    /// struct sigaction, `sa_flags`.
    ActionFlags: u64, "SA_" {
        NOCLDSTOP = 1, NOCLDWAIT = 2, SIGINFO = 4, RESTORER = 0x0400_0000, ONSTACK = 0x0800_0000, RESTART = 0x1000_0000,
        NODEFER = 0x4000_0000, RESETHAND = 0x8000_0000,
    }
    /// stack_t, `ss_flags`; no bits mean an alternate stack that is not in use.
    StackFlags: u32, "SS_" { ONSTACK = 1, DISABLE = 2, AUTODISARM = 0x8000_0000, }
    /// signalfd4(2).
    SignalfdFlags: u32, "SFD_" { CLOEXEC = 0o2000000, NONBLOCK = 0o4000, }
}

macro_rules! signals {
    ($($name:ident $short:ident;)*) => {
        $(#[doc = stringify!($name)] pub const $name: i32 = Signo::$short.0;)*
    };
}
signals! {
    SIGHUP HUP; SIGINT INT; SIGQUIT QUIT; SIGILL ILL; SIGTRAP TRAP; SIGABRT ABRT; SIGBUS BUS; SIGFPE FPE; SIGKILL KILL;
    SIGUSR1 USR1; SIGSEGV SEGV; SIGUSR2 USR2; SIGPIPE PIPE; SIGALRM ALRM; SIGTERM TERM; SIGSTKFLT STKFLT; SIGCHLD CHLD;
    SIGCONT CONT; SIGSTOP STOP; SIGTSTP TSTP; SIGTTIN TTIN; SIGTTOU TTOU; SIGURG URG; SIGXCPU XCPU; SIGXFSZ XFSZ;
    SIGVTALRM VTALRM; SIGPROF PROF; SIGWINCH WINCH; SIGIO IO; SIGPWR PWR; SIGSYS SYS;
}

/// The name of a signal, such as `"SIGTERM"`; `"SIGRT"` for real-time signals.
pub fn name(signo: i32) -> &'static str {
    macro_rules! match_signals { ($($s:ident)*) => { match signo { $($s => stringify!($s),)* _ => "SIGRT" } }; }
    match_signals!(SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM
        SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH
        SIGIO SIGPWR SIGSYS)
}

/// Highest signal number.
pub const SIGMAX: i32 = 64;
/// First real-time signal: signals from here on are queued.
pub const SIGRTMIN: i32 = 32;

/// The effect of a signal without a handler (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    Terminate,
    /// Terminate, with a report.
    Core,
    Ignore,
    /// No parent could continue us, so this is ignored (and reported).
    Stop,
}

/// The default action of a signal.
pub fn default_action(signo: i32) -> DefaultAction {
    match signo {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH => DefaultAction::Ignore,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => DefaultAction::Stop,
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU | SIGXFSZ | SIGSYS => {
            DefaultAction::Core
        }
        _ => DefaultAction::Terminate,
    }
}

impl SigAction {
    /// `sa_flags`.
    pub const fn flags(&self) -> ActionFlags {
        ActionFlags::from_bits_retain(self.flags)
    }
}
impl StackT {
    /// `ss_flags`.
    pub const fn flags(&self) -> StackFlags {
        StackFlags::from_bits_retain(self.flags)
    }
    /// Whether a stack pointer lies on it: it grows down, so its first byte is the end.
    pub const fn holds(&self, sp: usize) -> bool {
        sp > self.sp && sp - self.sp <= self.size
    }
}

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Signals that cannot be blocked, caught or ignored.
    pub const UNBLOCKABLE: Self = Self(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1));
    /// Raised by the thread's own instructions: delivered before others.
    const SYNCHRONOUS: Self = Self(
        1 << (SIGSEGV - 1)
            | 1 << (SIGBUS - 1)
            | 1 << (SIGILL - 1)
            | 1 << (SIGTRAP - 1)
            | 1 << (SIGFPE - 1)
            | 1 << (SIGSYS - 1),
    );

    /// The set with only this signal.
    pub const fn of(signo: i32) -> Self {
        Self(1 << (signo - 1))
    }
    /// Whether it contains `signo`.
    pub const fn has(self, signo: i32) -> bool {
        self.0 & Self::of(signo).0 != 0
    }
    /// The signals in either set.
    pub const fn union(self, o: Self) -> Self {
        Self(self.0 | o.0)
    }
    /// This set without the signals in `o`.
    pub const fn without(self, o: Self) -> Self {
        Self(self.0 & !o.0)
    }
    /// The signal to deliver next: synchronous ones first, then the lowest number.
    pub fn first(self) -> Option<i32> {
        let s = if self.0 & Self::SYNCHRONOUS.0 != 0 { self.0 & Self::SYNCHRONOUS.0 } else { self.0 };
        (s != 0).then(|| s.trailing_zeros() as i32 + 1)
    }
}

/// Whether it is a signal number.
pub fn valid(signo: i32) -> bool {
    (1..=SIGMAX).contains(&signo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_first_then_lowest() {
        let s = SigSet::of(SIGHUP).union(SigSet::of(SIGSEGV)).union(SigSet::of(SIGTERM));
        assert_eq!(s.first(), Some(SIGSEGV));
        assert_eq!(s.without(SigSet::of(SIGSEGV)).first(), Some(SIGHUP));
        assert_eq!(SigSet::EMPTY.first(), None);
        assert!(SigSet::of(64).has(64) && valid(64) && !valid(65) && !valid(0));
    }

    #[test]
    fn defaults_are_those_of_signal_7() {
        assert_eq!(default_action(SIGCHLD), DefaultAction::Ignore);
        assert_eq!(default_action(SIGTERM), DefaultAction::Terminate);
        assert_eq!(default_action(SIGABRT), DefaultAction::Core);
        assert_eq!(default_action(40), DefaultAction::Terminate);
        assert_eq!(name(15), "SIGTERM");
    }
}
