//! Signals of this process as events.

use super::terminal;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;

/// Signals that ask a command to end, except those that our parent set to be ignored (`nohup`, background jobs of
/// scripts).
fn asked_for() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
}

/// Calls `event` for each such signal from now on.
pub fn forward(event: impl Fn(i32) + Send + 'static) -> Result<()> {
    let mut signals = Signals::new(asked_for()).context("cannot handle signals")?;
    std::thread::spawn(move || signals.forever().for_each(event));
    Ok(())
}

/// Keeps the terminal's state right while the VM has it, across stops and continues. Calls `window` when the window's
/// size may have changed.
pub fn watch_terminal(window: impl Fn() + Send + 'static) -> Result<()> {
    let mut signals = Signals::new([SIGWINCH, SIGTSTP, SIGCONT]).context("cannot handle signals")?;
    std::thread::spawn(move || {
        signals.forever().for_each(|signal| match signal {
            SIGTSTP => terminal::stop(),
            SIGCONT => {
                terminal::go_on();
                window();
            }
            _ => window(),
        })
    });
    Ok(())
}
