//! SQLite's own test suite, in Tcl: `testfixture` runs the same files in both lives, and each file must end the same way:
//! as many tests, the same names of failed tests, the same last error.
//!
//! `tests/sqlite/suite.toml` names the files, and those left out with the reasons. Many files share one boot; the Tcl
//! driver reports its progress. If a file ends the program, or prints nothing for too long, that boot is ended and the
//! rest continues in a new one. The long form keeps its results in the cache, so that it can be interrupted.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::disk::image;
use super::super::process;
use super::Life;
use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use unibody::fingerprint::Fingerprint;
use unibody::{apt, files, lock, paths};

/// Files per boot.
const BATCH: usize = 24;
/// One file may take this long.
const PATIENCE: Duration = Duration::from_secs(300);

/// `suite.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// Run by every `cargo unibody test`.
    short: Vec<String>,
    /// Run in the long form, with the short ones.
    full: Vec<String>,
    /// Files that are left out: reason = files.
    left_out: BTreeMap<String, Vec<String>>,
    /// Files whose results cannot be the same on a disk: reason = files.
    not_on_fat: BTreeMap<String, Vec<String>>,
}

impl List {
    fn read(project: &Path) -> Result<Self> {
        let file = project.join("tests/sqlite/suite.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", file.display()))
    }
}

/// The driver's line about a file, or how the program died in it.
type Outcome = String;

/// A few files of each kind.
pub fn short(context: &Context) -> Result<Tally> {
    let list = List::read(&context.project)?;
    Suite::new(context, "/tmp", &[])?.compare(&list.short, None)
}

/// The same files with their databases on a disk.
pub fn disk(context: &Context) -> Result<Tally> {
    let list = List::read(&context.project)?;
    let file = context.scratch("sqlite-suite-disk")?.join("suite.img");
    let spec = format!("{}:/data", file.display());
    let fat = |file: &&String| !list.not_on_fat.values().flatten().any(|other| other == *file);
    let files: Vec<_> = list.short.iter().filter(fat).cloned().collect();
    let tally = Suite::new(context, "/data", &["--disk", &spec, "--disk-size", "512M"])?.compare(&files, None)?;
    image::clean(&file)?;
    Ok(tally)
}

/// All files that can run.
pub fn full(context: &Context) -> Result<Tally> {
    let list = List::read(&context.project)?;
    let all: Vec<_> = list.short.iter().chain(&list.full).cloned().collect();
    let left_out: usize = list.left_out.values().map(Vec::len).sum();
    let suite = Suite::new(context, "/tmp", &[])?;
    let mut print = Fingerprint::default();
    print.tree(&suite.image, false)?.tree(&suite.folder.join("suite/driver.tcl"), false)?;
    let memory = paths::cache()?.join("tests").join(format!("sqlite-suite-{}", print.hex()));
    let mut tally = suite.compare(&all, Some(&memory))?;
    let _ = write!(tally.note, ", {left_out} files left out (tests/sqlite/suite.toml)");
    Ok(tally)
}

struct Suite<'a> {
    context: &'a Context,
    image: PathBuf,
    /// The folder over the image's root: the suite and the driver.
    folder: PathBuf,
    work: &'static str,
    options: Vec<String>,
}

impl<'a> Suite<'a> {
    fn new(context: &'a Context, work: &'static str, options: &[&str]) -> Result<Self> {
        let image = context.port("sqlite:testfixture")?;
        let folder = context.scratch("sqlite-suite")?;
        let source = apt::source("sqlite3")?.tree;
        let target = folder.join("suite");
        files::copy_tree(&source.join("test"), &target.join("test"))?;
        // Only fuzzcheck reads these, and they are large.
        for entry in fs::read_dir(target.join("test"))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fuzzdata")) {
                files::remove(&path)?;
            }
        }
        scripts(&source.join("ext"), &target.join("ext"))?;
        fs::copy(context.project.join("tests/sqlite/driver.tcl"), target.join("driver.tcl"))?;
        let options = options.iter().map(|o| (*o).to_owned()).collect();
        Ok(Self { context, image, folder, work, options })
    }

    /// Runs the files in both lives; the error lists those that end differently.
    fn compare(&self, all: &[String], memory: Option<&Path>) -> Result<Tally> {
        for file in all {
            ensure!(self.folder.join("suite/test").join(file).is_file(), "suite.toml names {file}, which is no file");
        }
        let memory = memory.map(Memory::open).transpose()?;
        let known = memory.as_ref().map(Memory::known).unwrap_or_default();
        let todo: Vec<_> = all.iter().filter(|file| !known.contains(file)).cloned().collect();
        let disk = self.options.iter().any(|option| option == "--disk");
        let threads = match (memory.is_some(), disk) {
            (true, false) => std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8),
            _ => 1,
        };
        let queue = Mutex::new(todo.chunks(BATCH).map(<[String]>::to_vec).collect::<Vec<_>>().into_iter());
        let differences = Mutex::new(Vec::new());
        let begin = Instant::now();
        let finished = Mutex::new(known.len());
        let worker = || -> Result<()> {
            while !process::interrupted() {
                let Some(batch) = queue.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
                let hosted = self.run(&batch, true)?;
                let vm = self.run(&batch, false)?;
                for file in &batch {
                    if let Some(difference) = self.difference(file, hosted.get(file), vm.get(file))? {
                        differences.lock().unwrap_or_else(PoisonError::into_inner).push(difference);
                    } else if let Some(memory) = &memory {
                        memory.add(file)?;
                    }
                }
                if memory.is_some() {
                    let mut finished = finished.lock().unwrap_or_else(PoisonError::into_inner);
                    *finished += batch.len();
                    let differ = differences.lock().unwrap_or_else(PoisonError::into_inner).len();
                    let seconds = begin.elapsed().as_secs();
                    eprintln!("SQLite's suite: {finished} of {} files, {differ} differ, {seconds} s", all.len());
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| -> Result<()> {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            for worker in workers {
                worker.join().unwrap_or_else(|_| bail!("a thread of the test broke"))?;
            }
            Ok(())
        })?;
        let differences = differences.into_inner().unwrap_or_else(PoisonError::into_inner);
        ensure!(!process::interrupted(), "interrupted; started again it goes on where it was");
        if !differences.is_empty() {
            bail!("{} of {} files differ\n{}", differences.len(), all.len(), differences.join("\n"));
        }
        Ok(Tally { passed: all.len(), note: format!("{} files", all.len()), ..Tally::default() })
    }

    /// How a file's results differ between the two lives. A count may depend on the files before it (how often an
    /// allocation can fail depends on what is cached), so a file that differs runs again alone, and that result counts.
    fn difference(&self, file: &String, hosted: Option<&Outcome>, vm: Option<&Outcome>) -> Result<Option<String>> {
        if matches!((hosted, vm), (Some(hosted), Some(vm)) if same(hosted, vm)) {
            return Ok(None);
        }
        if process::interrupted() {
            return Ok(Some(format!("{file}: interrupted")));
        }
        let alone = |hosted| -> Result<Outcome> {
            let found = self.run(std::slice::from_ref(file), hosted)?.remove(file);
            Ok(found.unwrap_or_else(|| "was not run".to_owned()))
        };
        let (hosted, vm) = (alone(true)?, alone(false)?);
        Ok((!same(&hosted, &vm)).then(|| format!("{file}\n  Linux: {hosted}\n  VM:    {vm}")))
    }

    /// Runs files in one life, in as many boots as needed.
    fn run(&self, batch: &[String], hosted: bool) -> Result<BTreeMap<String, Outcome>> {
        let mut results = BTreeMap::new();
        let mut rest = batch;
        while !rest.is_empty() && !process::interrupted() {
            let before = rest.len();
            rest = self.boot(rest, hosted, &mut results)?;
            ensure!(rest.len() < before, "testfixture ended before its first file");
        }
        Ok(results)
    }

    /// One boot. Returns the files that are left.
    fn boot<'f>(
        &self,
        batch: &'f [String],
        hosted: bool,
        results: &mut BTreeMap<String, Outcome>,
    ) -> Result<&'f [String]> {
        let mut args = vec!["/suite/driver.tcl", "/suite/test", if hosted { "/tmp" } else { self.work }];
        args.extend(batch.iter().map(String::as_str));
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        let life = Life::new(self.context, &self.image).vm(&["-m", "768M"]).vm(&options).rootfs(&self.folder);
        let (child, lines) = Talking::start(life.command(hosted, &args))?;
        let (mut current, mut since, mut said) = (None::<String>, Instant::now(), Vec::new());
        let down = loop {
            if process::interrupted() {
                break "interrupted".to_owned();
            }
            match lines.recv_timeout(Duration::from_millis(500)) {
                Ok(line) => match line.split_once(' ') {
                    Some(("@start", file)) => {
                        current = Some(file.to_owned());
                        since = Instant::now();
                        said.clear();
                    }
                    Some(("@result", rest)) => {
                        if let Some((file, _)) = rest.split_once(' ') {
                            results.insert(file.to_owned(), rest.to_owned());
                        }
                        current = None;
                    }
                    _ => said.push(line),
                },
                Err(RecvTimeoutError::Timeout) if since.elapsed() > PATIENCE => break "took too long".to_owned(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break "ended the program".to_owned(),
            }
        };
        let status = child.end();
        if let Some(file) = current {
            let first = said.len().saturating_sub(3);
            results.insert(file, format!("{down}, status {status}: {}", said[first..].join(" | ")));
        }
        let at = batch.iter().position(|file| !results.contains_key(file)).unwrap_or(batch.len());
        Ok(&batch[at..])
    }
}

/// The same except for the time: `FILE TESTS ERRORS MILLISECONDS {NAMES} {MESSAGE}`.
fn same(one: &str, two: &str) -> bool {
    let without = |text: &str| {
        let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        if words.len() > 3 {
            words.remove(3);
        }
        words
    };
    without(one) == without(two)
}

/// Copies the Tcl files below a folder.
fn scripts(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            scripts(&path, &target)?;
        } else if path.extension().is_some_and(|e| e == "test" || e == "tcl") {
            fs::create_dir_all(to)?;
            fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// A program whose lines are read while it runs. It is killed when this is dropped.
struct Talking(Child);

impl Talking {
    fn start(mut command: std::process::Command) -> Result<(Self, Receiver<String>)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().context("cannot start the tool")?;
        let (send, lines) = channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                    if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        break;
                    }
                }
            });
        }
        Ok((Self(child), lines))
    }

    /// Its status; it is killed if it is still running.
    fn end(mut self) -> i32 {
        self.stop()
    }

    fn stop(&mut self) -> i32 {
        let grace = Instant::now() + Duration::from_secs(2);
        let mut asked = false;
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return process::shell_status(status),
                Ok(None) if Instant::now() < grace => {
                    // A program that closed its output is about to end by itself.
                    if !asked && Instant::now() + Duration::from_secs(1) > grace {
                        asked = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM).is_ok();
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => {
                    let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
                    return self.0.wait().map_or(-1, process::shell_status);
                }
            }
        }
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Files that gave the same result in both lives, remembered for the next run.
struct Memory {
    file: Mutex<fs::File>,
    known: Vec<String>,
    _lock: lock::Lock,
}

impl Memory {
    fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let lock = lock::exclusive(&path.with_extension("lock"))?;
        let known = fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect();
        let file = fs::File::options().create(true).append(true).open(path);
        let file = Mutex::new(file.with_context(|| format!("cannot write {}", path.display()))?);
        Ok(Self { file, known, _lock: lock })
    }

    fn known(&self) -> Vec<String> {
        self.known.clone()
    }

    fn add(&self, name: &str) -> Result<()> {
        Ok(writeln!(self.file.lock().unwrap_or_else(PoisonError::into_inner), "{name}")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_count() {
        assert!(same("a.test 12 0 5 {} {}", "a.test 12 0 90 {} {}"));
        assert!(!same("a.test 12 0 5 {} {}", "a.test 12 1 5 a-1 {}"));
        assert!(!same("a.test 12 0 5 {} {}", "a.test 12 0 5 {} {no such file}"));
        assert!(!same("a.test 12 0 5 {} {}", "took too long, status 137: "));
    }

    #[test]
    fn the_list() {
        let list = List::read(&paths::project(None).unwrap()).unwrap();
        let mut all: Vec<_> = list.short.iter().chain(&list.full).chain(list.left_out.values().flatten()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a file is named twice");
        assert!(list.short.len() + list.full.len() >= 300);
    }
}
