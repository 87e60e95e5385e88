//! Starting a prepared VM in this process and staying with it to its end.

use super::event::Event;
use super::log::Log;
use super::prepare::Prepared;
use super::pump::{self, Control, Sink};
use super::signals;
use super::supervisor::{Outcome, Supervisor};
use super::symbols::Annotator;
use super::terminal::{self, Seat};
use crate::state::client::SOCKET;
use crate::state::{self, Claim, Ended, record};
use anyhow::{Context, Result, bail};
use nix::poll::{PollFlags, PollTimeout};
use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use unibody_proto::control::{FromHost, LineReader};

/// Prints a message from the tool.
pub fn say(text: &str) {
    // Not eprintln: a closed standard error is no reason to die. Nor does one that is not being read justify waiting: a
    // VM would outlive the limit that should end it.
    if pump::wait(io::stderr().as_fd(), PollFlags::POLLOUT, PollTimeout::from(1000u16)) {
        let _ = io::Write::write_all(&mut io::stderr(), &terminal::lines(format!("unibody: {text}\n").as_bytes()));
    }
}

/// Claims the VM's name and writes its initrd.
pub fn claim(vm: &mut Prepared) -> Result<Claim> {
    let claim = state::claim(&mut vm.record, &vm.stem)?;
    let path = claim.folder.join("initrd");
    std::fs::write(&path, &vm.initrd).with_context(|| format!("cannot write {}", path.display()))?;
    vm.initrd = Vec::new();
    Ok(claim)
}

/// Runs a VM in the foreground; its exit status is the result.
pub fn foreground(mut vm: Prepared) -> Result<u8> {
    let claim = claim(&mut vm)?;
    let outcome = run(&mut vm, &claim, None, None);
    let removed = claim.remove();
    let (outcome, errors) = outcome?;
    removed?;
    status(&vm.record.name, &outcome, &errors, &mut |text| say(text))
}

/// The exit status for an outcome, with a message if the status alone does not say enough.
pub fn status(name: &str, outcome: &Outcome, errors: &str, say: &mut dyn FnMut(&str)) -> Result<u8> {
    match outcome {
        Outcome::Crash(signal, reason) => say(&format!("{name} crashed: signal {signal}: {reason}")),
        Outcome::Lost(how) => {
            let said = if errors.is_empty() { "it said nothing".to_owned() } else { format!("it said:\n{errors}") };
            bail!("the VMM ended ({how}) before the program reported an exit status; {said}")
        }
        Outcome::Exit(_) | Outcome::Ended(_) => {}
    }
    Ok(outcome.status().unwrap_or_default())
}

/// Runs a claimed VM to its end; returns the outcome and the VMM's own error output.
pub fn run(
    vm: &mut Prepared,
    claim: &Claim,
    log: Option<Arc<Log>>,
    ready: Option<Box<dyn FnOnce()>>,
) -> Result<(Outcome, String)> {
    let (events, inbox) = channel();
    let signal_events = events.clone();
    signals::forward(move |number| drop(signal_events.send(Event::Signal(number))))?;
    serve(&claim.folder, events.clone())?;

    let seat = match &log {
        None if vm.on_terminal() => Some(Seat::take().context("cannot change the terminal's settings")?),
        _ => None,
    };
    let mut vmm = vm.vmm.start(&vm.machine(&claim.folder.join("initrd")))?;
    vm.record.vmm = vmm.child.id();
    vm.record.save(&claim.folder)?;

    let control = Control::new(vmm.control.try_clone()?);
    let sink = |descriptor: io::Result<Sink>| match &log {
        Some(log) => Ok(Sink::Log(log.clone())),
        None => descriptor,
    };
    let (stdout, stderr, kernel) = (
        sink(Sink::descriptor(io::stdout()))?,
        sink(Sink::descriptor(io::stderr()))?,
        Sink::Annotated(Annotator::new(File::open(&vm.record.image).ok()), Box::new(sink(Sink::lines())?)),
    );
    let failed = |stream| {
        let control = control.clone();
        move |errno| control.send(FromHost::OutputFailed(stream, errno))
    };
    let mut pumps = vec![
        pump::outward(vmm.stdio.try_clone()?, stdout, failed(1)),
        pump::outward(vmm.stderr, stderr, failed(2)),
        pump::outward(vmm.log, kernel, |_| {}),
    ];
    match log {
        Some(_) => control.send(FromHost::StdinEnd(0)),
        None => pump::inward(vmm.stdio, control.clone(), seat.as_ref().map(|_| events.clone())),
    }
    if seat.is_some() {
        let control = control.clone();
        signals::watch_terminal(move || {
            if let Some((rows, cols)) = terminal::window() {
                control.send(FromHost::Window(rows, cols));
            }
        })?;
    }
    let errors = Arc::new(Mutex::new(String::new()));
    pumps.push(keep_errors(vmm.child.stderr.take(), errors.clone()));
    listen_to_guest(vmm.control, events.clone(), vmm.awake);
    let answers = events.clone();
    vmm.monitor.listen(Box::new(move |processors| drop(answers.send(Event::Stopped(processors)))))?;
    let pid = vmm.child.id();
    let mut child = vmm.child;
    let ended = events.clone();
    std::thread::spawn(move || drop(ended.send(Event::VmmEnded(child.wait()))));
    // When the VM ends, every byte that it wrote is in our sockets; it is delivered before the end is reported.
    std::thread::spawn(move || {
        pumps.into_iter().for_each(|pump| drop(pump.join()));
        events.send(Event::Delivered)
    });

    let log_line = log.clone();
    let speak: Box<dyn FnMut(&str)> = Box::new(move |text| match &log_line {
        Some(log) => log.write(format!("unibody: {text}\n").as_bytes()),
        None => say(text),
    });
    let name = vm.record.name.clone();
    let mut supervisor = Supervisor::new(&name, pid, control, vmm.monitor, &vm.net, speak);
    supervisor.patience = vm.patience();
    let image = vm.image.clone();
    supervisor.image = Box::new(move || std::fs::read(&image).unwrap_or_default());
    supervisor.publish = vm.publish.clone();
    supervisor.ready = ready;
    let outcome = supervisor.run(&inbox);
    drop(seat);
    if let Some(forced) = supervisor.forced.clone() {
        (supervisor.say)(&forced);
    }
    vm.record.ended = Some(Ended {
        at: record::now(),
        status: outcome.status(),
        reason: supervisor.forced.clone().unwrap_or_else(|| reason(&outcome)),
    });
    vm.record.save(&claim.folder)?;
    supervisor.answer_all();
    let errors = errors.lock().map(|errors| errors.trim_end().to_owned()).unwrap_or_default();
    Ok((outcome, errors))
}

fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exit(_) => String::new(),
        Outcome::Crash(signal, reason) => format!("crashed with signal {signal}: {reason}"),
        Outcome::Ended(_) => "ended from outside".to_owned(),
        Outcome::Lost(how) => format!("the VMM ended ({how})"),
    }
}

/// Keeps the last part of the VMM's own error output, which matters only if it fails.
fn keep_errors(from: Option<std::process::ChildStderr>, into: Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    const KEEP: usize = 64;
    std::thread::spawn(move || {
        let Some(from) = from else { return };
        for line in BufReader::new(from).lines() {
            let (Ok(line), Ok(mut kept)) = (line, into.lock()) else { return };
            *kept += &line;
            kept.push('\n');
            if kept.lines().count() > KEEP {
                let cut = kept.find('\n').map_or(0, |at| at + 1);
                kept.drain(..cut);
            }
        }
    })
}

fn listen_to_guest(mut from: UnixStream, events: Sender<Event>, mut awake: Option<Box<dyn FnOnce() + Send>>) {
    std::thread::spawn(move || {
        let mut lines = LineReader::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if let Some(awake) = awake.take() {
                awake();
            }
            lines.feed(&buffer[..count], |line| drop(events.send(Event::Guest(line.to_vec()))));
        }
        let _ = events.send(Event::ControlClosed);
    });
}

/// Answers other `unibody` commands on the entry's socket.
fn serve(folder: &Path, events: Sender<Event>) -> Result<()> {
    let path = folder.join(SOCKET);
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot make {}", path.display()))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let events = events.clone();
            std::thread::spawn(move || {
                let mut line = String::new();
                // Requests are short; anything longer does not come from our commands.
                let read = stream.try_clone().map(|reader| BufReader::new(reader.take(4096)).read_line(&mut line));
                if let (Ok(Ok(_)), Ok(request)) = (read, serde_json::from_str(&line)) {
                    let _ = events.send(Event::Request(request, stream));
                }
            });
        }
    });
    Ok(())
}
