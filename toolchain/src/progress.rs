//! Progress of long work: a spinner with the elapsed time on a terminal, plain lines otherwise. All on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Runs `work` under a line that says what is being done.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    if !std::io::stderr().is_terminal() {
        eprintln!("{what}");
        return work();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    let result = work();
    bar.finish_and_clear();
    if result.is_ok() && start.elapsed() > Duration::from_millis(700) {
        eprintln!("{what}: {:.1} s", start.elapsed().as_secs_f32());
    }
    result
}
