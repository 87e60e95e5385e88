//! Output that cannot be delivered.

use super::case::Tally;
use super::context::Context;
use super::process::{self, Finished};
use anyhow::{Result, ensure};
use std::time::Duration;

/// A program learns that its output cannot be delivered, just as a Linux process would: ENOSPC at once from /dev/full,
/// EPIPE and SIGPIPE from a pipe whose reader is gone.
pub fn output_fails(context: &Context) -> Result<Tally> {
    const FULL: &str = r#"exec "$@" > /dev/full"#;
    const READER_LEAVES: &str = r#"{ "$@"; echo "status $?" >&2; } | head -c 10 > /dev/null"#;
    // The reader leaves while the program waits, or before it starts.
    const LATER: &str = r#"{ "$@"; echo "status $?" >&2; } | sleep 2"#;
    const BEFORE: &str = r#"{ sleep 1; "$@"; echo "status $?" >&2; } | true"#;
    let image = context.program("output_fails")?.to_string_lossy().into_owned();
    let unibody = context.unibody(["run"]).get_program().to_string_lossy().into_owned();
    let vm = [unibody.as_str(), "run", "--accel", "tcg", "--net", "none", &image, "--"];
    for (script, mode) in [
        (FULL, "once"),
        (READER_LEAVES, "killed"),
        (READER_LEAVES, "ignored"),
        (LATER, "poll"),
        (BEFORE, "poll"),
        (BEFORE, "killed"),
    ] {
        let run = |words: &[&str]| {
            let mut shell = process::command("sh", ["-c", script, "sh"].iter().chain(words).chain(&[mode]));
            process::run(shell.env("XDG_RUNTIME_DIR", context.scratch("run")?), b"", Duration::from_secs(60))
        };
        let (linux, here) = (run(&[&image])?, run(&vm)?);
        let facts = |done: &Finished| {
            let told: Vec<_> =
                done.err().lines().filter(|line| !line.starts_with("unibody: ")).map(str::to_owned).collect();
            (done.status, told)
        };
        ensure!(facts(&linux) == facts(&here), "{mode} is different\n{}\n{}", linux.report(), here.report());
        let expected = match mode {
            "once" => "write: ENOSPC",
            "killed" => "status 141",
            _ => "write: EPIPE",
        };
        ensure!(linux.err().contains(expected), "{mode}: not a word of '{expected}'\n{}", linux.report());
    }
    Ok(Tally::pass(""))
}
