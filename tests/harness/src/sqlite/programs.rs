//! SQLite's own test programs.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process::{self, Finished};
use super::Life;
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;
use unibody::apt;

/// Lines without parts that depend on the machine's speed: whatever follows a run of dots or is a duration or a rate.
fn timeless(text: &str) -> Vec<String> {
    const TIMES: [&str; 6] =
        ["TOTAL....", "Total elapsed time", "Microseconds per", "Content read rate", "Content write rate", "-- "];
    let kept = text.lines().filter(|line| !TIMES.iter().any(|word| line.trim_start().starts_with(word)));
    kept.map(|line| line.split("....").next().unwrap_or(line).trim_end().to_owned()).collect()
}

/// Runs both lives with the same arguments: the status and the lines must be the same except for times. Returns the
/// VM's run.
fn both(life: &Life, args: &[&str]) -> Result<Finished> {
    let hosted = life.as_process(args, b"")?.expect(0)?;
    let vm = life.as_machine(args, b"")?.expect(0)?;
    let (one, two) = (timeless(&hosted.out()), timeless(&vm.out()));
    let line = one.iter().zip(&two).find(|(a, b)| a != b);
    ensure!(one == two, "the two lives differ: {line:?}\n{}\nLinux:\n{}", vm.report(), hosted.report());
    Ok(vm)
}

/// The benchmark, with its check of every answer; also on two processors with helper threads.
pub fn speedtest1(context: &Context) -> Result<Tally> {
    let image = context.port("sqlite:speedtest1")?;
    let life = Life::new(context, &image);
    let runs: [&[&str]; 5] = [
        &["--size", "5", "--verify", "--memdb"],
        &["--size", "5", "--verify", "--journal", "wal", "/data/s.db"],
        &["--size", "5", "--verify", "--testset", "orm", "--journal", "delete", "--mmap", "1000000", "/data/s.db"],
        &["--size", "1", "--verify", "--testset", "rtree", "--exclusive", "--nosync", "/data/s.db"],
        &["--size", "2", "--verify", "--testset", "cte", "--threads", "2", "/data/s.db"],
    ];
    let mut seconds = 0.0;
    for args in runs {
        let done = both(&life, args)?;
        ensure!(done.out().contains("Hash:"), "no verification\n{}", done.report());
        seconds += done.took.as_secs_f32();
    }
    Ok(Tally::pass(format!("VM {seconds:.1} s")))
}

/// Blobs in a database and in many files, which the Linux process creates for both.
pub fn kvtest(context: &Context) -> Result<Tally> {
    let image = context.port("sqlite:kvtest")?;
    let life = Life::new(context, &image);
    both(
        &life,
        &["init", "/data/new.db", "--count", "300", "--size", "3000", "--variance", "500", "--pagesize", "1024"],
    )?;
    let folder = context.scratch("sqlite-kvtest")?;
    let pile = folder.join("data/pile");
    std::fs::create_dir_all(&pile)?;
    let (database, pile) = (folder.join("data/kv.db"), pile.to_string_lossy().into_owned());
    let database = database.to_string_lossy().into_owned();
    for args in [
        &["init", &database, "--count", "400", "--size", "10000"] as &[&str],
        &["export", &database, &pile],
        &["stat", &database],
    ] {
        let mut direct = process::command(&image, args);
        process::run(&mut direct, b"", Duration::from_secs(60))?.expect(0)?;
    }
    let life = life.rootfs(&folder);
    let runs: [&[&str]; 7] = [
        &["stat", "/data/kv.db", "--vacuum"],
        &["run", "/data/kv.db", "--count", "400", "--max-id", "400"],
        &["run", "/data/kv.db", "--count", "400", "--max-id", "400", "--mmap", "8000000", "--desc"],
        &["run", "/data/kv.db", "--count", "200", "--max-id", "400", "--blob-api", "--random", "--integrity-check"],
        &["run", "/data/kv.db", "--count", "300", "--max-id", "400", "--update", "--jmode", "wal", "--integrity-check"],
        &["run", "/data/pile", "--count", "400", "--max-id", "400"],
        &["run", "/data/pile", "--count", "300", "--max-id", "400", "--update", "--fsync"],
    ];
    for args in runs {
        both(&life, args)?;
    }
    Ok(Tally::pass(""))
}

/// Runs it until it succeeds, at most `more` further times, and only while its failure is known to happen on Linux,
/// too.
fn as_machine_again(life: &Life, args: &[&str], more: usize, known: impl Fn(&str) -> bool) -> Result<Finished> {
    let mut done = life.as_machine(args, b"")?;
    for _ in 0..more {
        if done.status == 0 || !known(&(done.out() + &done.err())) {
            break;
        }
        done = life.as_machine(args, b"")?;
    }
    done.expect(0)
}

fn threadtest3_of(context: &Context, tests: &[&str]) -> Result<Tally> {
    let image = context.port("sqlite:threadtest3")?;
    // One of the tests lets a database in memory grow as fast as it can.
    let mut life = Life::new(context, &image).vm(&["--smp", "2", "-m", "1G"]);
    life.limit = Duration::from_secs(1200);
    // When the last connection of a shared cache closes while the next is opened, two pagers have the file open for a
    // moment, and `PRAGMA journal_mode` asks for an exclusive lock without waiting (`pagerExclusiveLock` in pager.c):
    // "database is locked". A run with no other failure is repeated.
    let done = as_machine_again(&life, tests, 2, |text| {
        let mut errors = text.lines().filter(|line| line.trim_start().starts_with("Error:")).peekable();
        errors.peek().is_some() && errors.all(|error| error.contains("(5) \"database is locked\""))
    })?;
    // How many rounds a thread did depends on the machine; all that counts is that nothing went wrong.
    let text = done.out() + &done.err();
    let last = text.lines().rfind(|line| line.contains("errors out of")).context("no summary")?.to_owned();
    ensure!(last.starts_with("0 errors out of"), "{last}\n{}", done.report());
    Ok(Tally::pass(last))
}

/// Threads that share files: some of its tests, whose duration is fixed.
pub fn threadtest3(context: &Context) -> Result<Tally> {
    threadtest3_of(context, &["stress2", "lookaside1"])
}

/// All its tests.
pub fn threadtest3_all(context: &Context) -> Result<Tally> {
    threadtest3_of(context, &[])
}

/// One connection per thread, with both journals. On Linux, too, about every second run ends early with a deadlock or a
/// locked schema reported by the shared cache: one complete run out of several is required.
pub fn threadtest4(context: &Context) -> Result<Tally> {
    let image = context.port("sqlite:threadtest4")?;
    let life = Life::new(context, &image).vm(&["--smp", "2", "-m", "256M"]);
    for args in [&["--multithread", "4"] as &[&str], &["--multithread", "--wal", "3"]] {
        let done = as_machine_again(&life, args, 7, |text| text.contains("Deadlock") || text.contains("locked"))?;
        ensure!(done.out().contains("Total 0 errors"), "{}", done.report());
    }
    Ok(Tally::pass(""))
}

fn fuzzcheck_of(context: &Context, numbers: &[u32]) -> Result<Tally> {
    let image = context.port("sqlite:fuzzcheck")?;
    let folder = context.scratch("sqlite-fuzzcheck")?;
    let source = apt::source("sqlite3")?.tree.join("test");
    let mut tally = Tally::default();
    for number in numbers {
        let name = format!("fuzzdata{number}.db");
        let root = folder.join(&name).join("data");
        std::fs::create_dir_all(&root)?;
        std::fs::copy(source.join(&name), root.join(&name)).with_context(|| format!("no {name}"))?;
        let mut life = Life::new(context, &image).vm(&["-m", "512M"]).rootfs(&folder.join(&name));
        life.limit = Duration::from_secs(3600);
        let path = format!("/data/{name}");
        let verdict = |done: Finished| -> Result<String> {
            let done = done.expect(0)?;
            let text = done.out();
            let last = text.lines().rfind(|line| line.starts_with("fuzzcheck: ")).unwrap_or_default();
            // fuzzcheck: 0 errors out of 5170 tests in 1.205 seconds
            let verdict = last.split(" tests").next().unwrap_or_default().to_owned();
            ensure!(verdict.contains(" 0 errors out of "), "{}", done.report());
            Ok(verdict)
        };
        let hosted = verdict(life.as_process(&[&path], b"")?)?;
        let vm = verdict(life.as_machine(&[&path], b"")?)?;
        ensure!(hosted == vm, "{name}:\n  Linux: {hosted}\n  VM:    {vm}");
        tally.passed += 1;
        tally.note = vm;
    }
    Ok(tally)
}

/// Inputs that fuzzers once found: the smaller collections.
pub fn fuzzcheck(context: &Context) -> Result<Tally> {
    fuzzcheck_of(context, &[4, 6])
}

/// All collections.
pub fn fuzzcheck_all(context: &Context) -> Result<Tally> {
    fuzzcheck_of(context, &[1, 2, 3, 5, 7, 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let text = " 100 - 2500 INSERTs into table with no index......................    0.013s\n       TOTAL....    0.2s\nDatabase page size: 4096\n";
        assert_eq!(timeless(text), [" 100 - 2500 INSERTs into table with no index", "Database page size: 4096"]);
    }
}
