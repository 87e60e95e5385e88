//! Running other programs, and showing their output when they fail.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Lines of output that a failure shows.
const TAIL: usize = 40;

/// Runs to the end; output goes to `log` if given. A failure shows the last lines, and where the rest is.
pub fn run(command: &mut Command, log: Option<&Path>) -> Result<Vec<u8>> {
    let output = capture(command)?;
    if let Some(log) = log {
        use std::io::Write;
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        writeln!(file, "$ {}", line(command))?;
        file.write_all(&output.stdout)?;
        file.write_all(&output.stderr)?;
    }
    if !output.status.success() {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let more = log.map(|l| format!("\nall of it: {}", l.display())).unwrap_or_default();
        bail!("{} failed ({}):\n{tail}{more}", line(command), output.status);
    }
    Ok(output.stdout)
}

/// Runs to the end and returns everything, whatever the status.
pub fn capture(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null());
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => bail!("{name} is not installed (see `unibody doctor`)"),
        other => other.with_context(|| format!("cannot run {name}")),
    }
}

/// The command, as one would type it.
pub fn line(command: &Command) -> String {
    let word = |w: &std::ffi::OsStr| {
        let w = w.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+%@".contains(c);
        if !w.is_empty() && w.chars().all(plain) { w.into_owned() } else { format!("'{}'", w.replace('\'', "'\\''")) }
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect::<Vec<_>>().join(" ")
}

/// Finds a program in `$PATH`.
pub fn find(name: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|p| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

/// How many jobs `make` may run at once.
pub fn jobs() -> String {
    format!("-j{}", std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_was_said() {
        let e = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), None).unwrap_err().to_string();
        assert!(e.contains("out\nerr") && e.contains("exit status: 3"), "{e}");
        let e = run(&mut Command::new("no-such-program-here"), None).unwrap_err().to_string();
        assert!(e.starts_with("no-such-program-here is not installed"), "{e}");
    }

    #[test]
    fn quoting() {
        assert_eq!(line(Command::new("a").args(["b c", "", "x=1"])), "a 'b c' '' x=1");
    }
}
