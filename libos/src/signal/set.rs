//! Signal numbers and sets.

/// A set of signals: bit n-1 is signal n, as in the kernel's sigset_t.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SigSet(pub u64);

macro_rules! signals {
    ($($name:ident = $n:literal;)*) => {
        $(#[doc = stringify!($name)] pub const $name: i32 = $n;)*
        /// `"SIGTERM"`; real-time signals are `"SIGRT"`.
        pub fn name(signo: i32) -> &'static str {
            match signo { $($n => stringify!($name),)* _ => "SIGRT" }
        }
    };
}
signals! {
    SIGHUP = 1; SIGINT = 2; SIGQUIT = 3; SIGILL = 4; SIGTRAP = 5; SIGABRT = 6; SIGBUS = 7; SIGFPE = 8; SIGKILL = 9;
    SIGUSR1 = 10; SIGSEGV = 11; SIGUSR2 = 12; SIGPIPE = 13; SIGALRM = 14; SIGTERM = 15; SIGSTKFLT = 16; SIGCHLD = 17;
    SIGCONT = 18; SIGSTOP = 19; SIGTSTP = 20; SIGTTIN = 21; SIGTTOU = 22; SIGURG = 23; SIGXCPU = 24; SIGXFSZ = 25;
    SIGVTALRM = 26; SIGPROF = 27; SIGWINCH = 28; SIGIO = 29; SIGPWR = 30; SIGSYS = 31;
}

/// Highest signal number.
pub const SIGMAX: i32 = 64;
/// First real-time signal: from here on signals queue.
pub const SIGRTMIN: i32 = 32;

/// What a signal without a handler does (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    Terminate,
    /// Terminate, with a report.
    Core,
    Ignore,
    /// There is no parent that could continue us, so this is ignored (and said).
    Stop,
}

/// See [`Default`].
pub fn default_action(signo: i32) -> Default {
    match signo {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH => Default::Ignore,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => Default::Stop,
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU | SIGXFSZ | SIGSYS => Default::Core,
        _ => Default::Terminate,
    }
}

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// What cannot be blocked, caught or ignored.
    pub const UNBLOCKABLE: Self = Self(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1));
    /// Raised by the thread's own instructions: taken before others.
    const SYNCHRONOUS: Self = Self(
        1 << (SIGSEGV - 1)
            | 1 << (SIGBUS - 1)
            | 1 << (SIGILL - 1)
            | 1 << (SIGTRAP - 1)
            | 1 << (SIGFPE - 1)
            | 1 << (SIGSYS - 1),
    );

    /// Just this signal.
    pub const fn of(signo: i32) -> Self {
        Self(1 << (signo - 1))
    }
    /// Whether it holds `signo`.
    pub const fn has(self, signo: i32) -> bool {
        self.0 & Self::of(signo).0 != 0
    }
    /// Both.
    pub const fn union(self, o: Self) -> Self {
        Self(self.0 | o.0)
    }
    /// Without `o`.
    pub const fn without(self, o: Self) -> Self {
        Self(self.0 & !o.0)
    }
    /// The signal to take next: synchronous ones, then the lowest number.
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
        assert_eq!(default_action(SIGCHLD), Default::Ignore);
        assert_eq!(default_action(SIGTERM), Default::Terminate);
        assert_eq!(default_action(SIGABRT), Default::Core);
        assert_eq!(default_action(40), Default::Terminate);
        assert_eq!(name(15), "SIGTERM");
    }
}
