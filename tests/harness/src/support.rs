//! Whether docs/SUPPORT.md is true: every row of a supported call names a program that makes it, and every refused call
//! is made once, in both lives.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::directives::{self, Directives};
use super::process;
use super::programs;
use anyhow::{Context as _, Result, bail, ensure};
use libos_abi::{Call, Support, table};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One run of the program that makes refused calls.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("support/named", |_| named()).needs(&[]));
    all.push(Case::new("support/shown", shown).needs(&[Need::Toolchain, Need::Strace]).limit(1200));
    all.push(Case::new("support/refused", refused));
}

/// Every call that is not refused is shown by a program, and programs show nothing else.
fn named() -> Result<Tally> {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, source) in programs::sources()? {
        for call in directives::parse(&source)?.shows {
            shown.entry(call).or_default().push(name.clone());
        }
    }
    let supported = table::CALLS.iter().filter(|call| !matches!(call.support, Support::Refused(..)));
    let lacking: Vec<_> = supported.map(|call| call.name).filter(|name| shown.remove(*name).is_none()).collect();
    ensure!(lacking.is_empty(), "no program in tests/programs says `//@ shows` of: {}", lacking.join(" "));
    let wrong: Vec<_> = shown.iter().map(|(call, by)| format!("{call} ({})", by.join(", "))).collect();
    ensure!(wrong.is_empty(), "shown, but not supported: {}", wrong.join(" "));
    Ok(Tally::pass(""))
}

/// Each program really makes the calls that it claims to show, with success.
fn shown(context: &Context) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    let place = context.scratch("shown")?;
    for (name, source) in programs::sources()? {
        let directives = directives::parse(&source)?;
        if directives.shows.is_empty() {
            continue;
        }
        let root = nix::unistd::geteuid().is_root();
        let vm_only = !directives.hosted || source.contains("//@ native no");
        let made = if vm_only {
            Vec::new()
        } else if directives.root && !root {
            tally.skipped.push(format!("{name}: the Linux process must begin as root"));
            continue;
        } else {
            traced(context, &name, &directives, &place).with_context(|| format!("program/{name}"))?
        };
        for call in &directives.shows {
            // Where Linux cannot be asked, the source must at least name it.
            let named = || words(&source).any(|word| stands_for(word, call));
            if made.contains(call) || (vm_only || unknown(call)?) && named() {
                tally.passed += 1;
            } else {
                wrong.push(format!("{name}: {call}"));
            }
        }
    }
    fs::remove_dir_all(place)?;
    ensure!(wrong.is_empty(), "claimed to be shown, but not made with success:\n{}", wrong.join("\n"));
    Ok(tally)
}

/// Those calls that a program makes, as strace sees it.
fn traced(context: &Context, name: &str, directives: &Directives, place: &Path) -> Result<Vec<String>> {
    let image = context.program(name)?;
    let log = place.join(name);
    let program = programs::linux(context, &image, directives, Some(place))?;
    let mut strace = process::command("strace", ["--follow-forks", "--quiet=all", "--seccomp-bpf", "--output"]);
    // A question mark excuses a call that this strace is too old to know.
    let calls: Vec<_> = directives.shows.iter().map(|call| format!("?{call}")).collect();
    strace.arg(&log).arg(format!("--trace={}", calls.join(",")));
    strace.arg(program.get_program()).args(program.get_args());
    strace.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let limit = Duration::from_secs(directives.timeout) * 2;
    process::run(&mut strace, directives.stdin.as_bytes(), limit)?.expect(directives.status)?;
    let trace = fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let all = directives.shows.iter();
    Ok(all.filter(|call| trace.lines().any(|line| succeeded(line, call))).cloned().collect())
}

/// Whether this strace is too old to know a call.
fn unknown(call: &str) -> Result<bool> {
    let asked =
        process::run(&mut process::command("strace", [format!("--trace={call}"), "true".into()]), b"", PATIENCE)?;
    Ok(asked.err().contains("invalid system call"))
}

/// Whether a line of strace tells of this call, and that it did what it is for: not an error, unless an error is all
/// that its row promises, or this Linux is older than the call.
fn succeeded(line: &str, call: &str) -> bool {
    let Some((_, event)) = line.split_once(' ') else { return false };
    let event = event.trim_start();
    let tells = event.strip_prefix(call).is_some_and(|rest| rest.starts_with('('))
        || event
            .strip_prefix("<... ")
            .and_then(|rest| rest.strip_prefix(call))
            .is_some_and(|rest| rest.starts_with(' '));
    let only_fails = row(call).is_some_and(|row| {
        matches!(row.support, Support::Partial(why) if why.starts_with("only ever") || why.starts_with("always E"))
    });
    let ends = event.rsplit_once(" = ").map_or("", |(_, result)| result);
    // What waits for a signal returns an error once it has done so, and what ends a thread returns nothing.
    let waits = ["pause", "rt_sigsuspend", "exit", "exit_group"].contains(&call);
    tells && (waits || only_fails || !ends.starts_with('-') && !ends.is_empty() || ends.contains("ENOSYS"))
}

fn row(name: &str) -> Option<&'static Call> {
    table::CALLS.iter().find(|call| call.name == name)
}

fn words(source: &str) -> impl Iterator<Item = &str> {
    let code = source.lines().filter(|line| !line.starts_with("//"));
    code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
}

/// A call, as a source names it.
fn stands_for(word: &str, call: &str) -> bool {
    word.strip_prefix("SYS_").unwrap_or(word) == call
}

/// All of them, with arguments that are 0: none of these is looked at.
fn refused(context: &Context) -> Result<Tally> {
    let image = context.calls_program("refused_calls")?;
    let calls = table::CALLS.iter().filter_map(|call| match call.support {
        Support::Refused(errno, _) => Some(format!("{}:{}", call.number, errno as u16)),
        _ => None,
    });
    let calls: Vec<String> = calls.collect();
    let mut linux = process::command(&image, &calls);
    let hosted = process::run(&mut linux, b"", PATIENCE)?.expect(0)?;
    let mut boot = context.unibody(["run", "--accel", "tcg", "--net", "none"]);
    let vm = process::run(boot.arg(&image).arg("--").args(&calls), b"", PATIENCE)?.expect(0)?;
    if hosted.stdout != vm.stdout || !vm.out().ends_with(&format!("{} calls\n", calls.len())) {
        bail!("the two lives differ\n{}\n{}", vm.report(), hosted.report());
    }
    Ok(Tally::pass(format!("{} calls", calls.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strace_says() {
        assert!(succeeded("12 read(3, \"\", 4) = 0", "read"));
        assert!(succeeded("12 <... futex resumed>) = 1", "futex"));
        assert!(succeeded("12 exit_group(0) = ?", "exit_group"));
        assert!(succeeded("12 wait4(-1, 0x7ff, 0, NULL) = -1 ECHILD (No child processes)", "wait4"));
        assert!(succeeded("12 fchmodat2(1, 2) = -1 ENOSYS (Function not implemented)", "fchmodat2"));
        assert!(!succeeded("12 read(3, \"\", 4) = -1 EBADF (Bad file descriptor)", "read"));
        assert!(!succeeded("12 readv(3, [], 0) = 0", "read"));
        assert!(!succeeded("12 futex(0x1, FUTEX_WAIT <unfinished ...>", "futex"));
    }
}
