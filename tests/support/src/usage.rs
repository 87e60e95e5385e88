//! How much processor time a process has used.

use anyhow::{Context as _, Result};

/// Seconds, of all its threads, in user code and in the kernel.
pub fn seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    let hertz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("the system has no clock ticks")?;
    Ok(ticks(&stat)? / hertz as f64)
}

fn ticks(stat: &str) -> Result<f64> {
    // The name, in brackets, may hold anything; user and system time are the 12th and 13th field after it.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let number = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).context("/proc/PID/stat is odd");
    Ok(number(11)? + number(12)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc() {
        assert_eq!(ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0").unwrap(), 300.0);
        assert!(ticks("7 (a) S").is_err());
        assert!(seconds(std::process::id()).is_ok());
    }
}
