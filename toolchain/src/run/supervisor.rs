//! The life of a VM, from its start to its exit status: one loop over events from signals, the guest, the VMM and other
//! `unibody` commands. Every other thread only waits for one thing and sends an event.

mod ending;

use super::event::Event;
use super::net::{Net, Publish, url};
use super::pump::Control;
use super::terminal::Key;
use crate::output::json_line;
use crate::state::client::{Answer, Request};
use crate::vmm::Monitor;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use unibody_proto::control::{FromGuest, FromHost, Transport, WAITS_SINCE};

const SIGINT: i32 = 2;
const SIGKILL: u8 = 9;
/// How long a VM may take to power off after its program has ended.
const POWER_OFF: Duration = Duration::from_secs(5);
/// How long delivering the output may take once a VM was ended by force.
const DELIVERY: Duration = Duration::from_secs(1);
/// A program that listens and has not waited for this long never will: it polls.
const BUSY: Duration = Duration::from_secs(5);

/// This many Ctrl-C within this time mean that they do not do what the user wants.
const INSISTING: (usize, Duration) = (3, Duration::from_secs(3));

/// How a VM ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program's exit status.
    Exit(u8),
    /// It crashed with this signal, for this reason.
    Crash(u8, String),
    /// It was ended from outside; the status to show.
    Ended(u8),
    /// The VMM ended by itself, with this status of its own.
    Lost(String),
}

impl Outcome {
    /// The exit status as a shell shows it, if the program or the user gave one.
    pub fn status(&self) -> Option<u8> {
        match self {
            Self::Exit(status) | Self::Ended(status) => Some(*status),
            Self::Crash(signal, _) => Some(signal.saturating_add(128)),
            Self::Lost(_) => None,
        }
    }
}

/// The state of a running VM.
pub struct Supervisor<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Process number of the VMM.
    pub vmm: u32,
    /// To the guest.
    pub control: Control,
    /// To the VMM itself.
    pub monitor: Box<dyn Monitor>,
    pub net: &'a Net,
    /// Forwarded ports whose listening was not yet reported.
    pub publish: Vec<Publish>,
    /// How long the program may take to end.
    pub patience: Duration,
    /// How the VM was ended, if the program did not end when it was asked to.
    pub forced: Option<String>,
    /// Reads the image, to name the functions that processors are in.
    pub image: Box<dyn Fn() -> Vec<u8> + 'a>,
    /// Prints a message for the user.
    pub say: Box<dyn FnMut(&str) + 'a>,
    /// Called once when the program is up: it listens on all forwarded TCP ports, or, without any, it runs.
    pub ready: Option<Box<dyn FnOnce() + 'a>>,
    started: Instant,
    reported: Vec<String>,
    hello: bool,
    tells_waiting: bool,
    listens: Vec<(Transport, IpAddr, u16)>,
    outcome: Option<Outcome>,
    /// The first signal that asked this process to end.
    asked: Option<(i32, Instant)>,
    interrupts: Vec<Instant>,
    hinted: bool,
    vmm_ended: Option<String>,
    control_closed: bool,
    delivered: bool,
    deadlines: Vec<(Instant, Deadline)>,
    waiting: Vec<UnixStream>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadline {
    /// Tells the user how much time is left.
    Remind(Duration),
    PowerDown,
    GiveUp(Duration, u8),
    Kill(u8),
    Waits,
    Leave,
}

impl<'a> Supervisor<'a> {
    /// Supervises a VMM that was just started.
    pub fn new(
        name: &'a str,
        vmm: u32,
        control: Control,
        monitor: Box<dyn Monitor>,
        net: &'a Net,
        say: Box<dyn FnMut(&str) + 'a>,
    ) -> Self {
        Self {
            name,
            vmm,
            control,
            monitor,
            net,
            publish: Vec::new(),
            patience: Duration::MAX,
            forced: None,
            image: Box::new(Vec::new),
            say,
            ready: None,
            started: Instant::now(),
            reported: Vec::new(),
            hello: false,
            tells_waiting: false,
            listens: Vec::new(),
            outcome: None,
            asked: None,
            interrupts: Vec::new(),
            hinted: false,
            vmm_ended: None,
            control_closed: false,
            delivered: false,
            deadlines: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Runs until the VM has ended. [`Supervisor::answer_all`] later answers the commands that wait for this.
    pub fn run(&mut self, events: &Receiver<Event>) -> Outcome {
        // Wait for all three: the guest's last message may be read after the VMM was reaped, and its output delivered
        // even later.
        while self.vmm_ended.is_none() || !self.control_closed || !self.delivered {
            let next = self.deadlines.iter().map(|(at, _)| *at).min();
            let event = match next {
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => self.overdue(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.outcome.take().unwrap_or_else(|| Outcome::Lost(self.vmm_ended.take().unwrap_or_default()))
    }

    /// Answers all commands that wait for the end. Their streams stay open until this process has ended, which is what
    /// they wait for: only then is the entry free.
    pub fn answer_all(&mut self) {
        for stream in self.waiting.drain(..) {
            if let Ok(open) = stream.try_clone() {
                std::mem::forget(open);
            }
            answer(stream, &self.forced.clone().map_or(Answer::Done, Answer::Forced));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Signal(number) => self.signal(number),
            Event::Key(Key::Escape) => self.kill(128 + SIGINT as u8),
            // Nothing in the guest handles it before the program runs.
            Event::Key(Key::Interrupt) if !self.hello => self.signal(SIGINT),
            Event::Key(Key::Interrupt) => self.interrupt(),
            Event::Guest(line) => self.guest(&line),
            Event::ControlClosed => self.control_closed = true,
            Event::Delivered => self.delivered = true,
            Event::Stopped(processors) => self.last_words(&processors),
            Event::VmmEnded(status) => {
                self.vmm_ended = Some(status.map_or_else(|error| error.to_string(), |status| status.to_string()));
                self.deadlines.clear();
                if matches!(self.outcome, Some(Outcome::Ended(_))) {
                    self.deadlines.push((Instant::now() + DELIVERY, Deadline::Leave));
                }
            }
            Event::Request(request, stream) => self.request(request, stream),
        }
    }

    /// Ctrl-C went to the program's terminal; what it does is up to the program.
    fn interrupt(&mut self) {
        let now = Instant::now();
        self.interrupts.retain(|at| now.duration_since(*at) < INSISTING.1);
        self.interrupts.push(now);
        if self.interrupts.len() >= INSISTING.0 && !self.hinted {
            self.hinted = true;
            (self.say)("Ctrl-C is the program's; Ctrl-] three times within a second ends the VM");
        }
    }

    fn request(&mut self, request: Request, stream: UnixStream) {
        match request {
            Request::Signal(number) if self.hello => {
                self.control.send(FromHost::Kill(number));
                return answer(stream, &Answer::Done);
            }
            Request::Signal(_) => {
                return answer(stream, &Answer::Failed("the program does not run yet; try again".into()));
            }
            Request::Stop(seconds) => {
                let limit = seconds.map_or(self.patience, Duration::from_secs);
                self.ask_to_end(limit, Deadline::PowerDown, 128 + SIGKILL);
            }
            Request::End => self.kill(128 + SIGKILL),
        }
        self.waiting.push(stream);
    }

    fn guest(&mut self, line: &[u8]) {
        match FromGuest::parse(line) {
            Some(FromGuest::Hello { version, .. }) => {
                self.hello = true;
                self.tells_waiting = version >= WAITS_SINCE;
                self.check_ready();
            }
            Some(FromGuest::Clock) => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                self.control.send(FromHost::Clock(now.as_nanos() as u64));
            }
            Some(FromGuest::Listen { transport, addr, port }) => {
                self.listens.push((transport, addr, port));
                if !self.tells_waiting {
                    return self.serves();
                }
                self.deadlines.push((Instant::now() + BUSY, Deadline::Waits));
            }
            Some(FromGuest::Waits) => self.serves(),
            Some(FromGuest::Exit(status)) => self.finished(Outcome::Exit(status)),
            Some(FromGuest::Crash { signal, reason }) => {
                self.finished(Outcome::Crash(signal, String::from_utf8_lossy(reason).into_owned()));
            }
            // A newer guest may send messages that we do not know.
            None => {}
        }
    }

    fn finished(&mut self, outcome: Outcome) {
        // After a crash line the machine exits, perhaps with a status, but the crash says more.
        if !matches!(self.outcome, Some(Outcome::Crash(..))) {
            self.outcome = Some(outcome);
        }
        self.deadlines.retain(|(_, what)| matches!(what, Deadline::Kill(_)));
        self.deadlines.push((Instant::now() + POWER_OFF, Deadline::Kill(0)));
    }

    /// The program listens and is ready to answer.
    fn serves(&mut self) {
        self.deadlines.retain(|(_, what)| *what != Deadline::Waits);
        for (transport, addr, port) in std::mem::take(&mut self.listens) {
            self.listening(transport, addr, port);
        }
    }

    /// Reports how to reach the program.
    fn listening(&mut self, transport: Transport, addr: IpAddr, port: u16) {
        if let Net::Tap(_, fixed) = self.net {
            let addr = if addr.is_unspecified() { fixed.map(IpAddr::V4) } else { Some(addr) };
            let Some(addr) = addr.filter(|addr| !addr.is_loopback()) else { return };
            let url = url(transport, &host(addr), port, port);
            if !self.reported.contains(&url) {
                (self.say)(&url);
                self.reported.push(url);
            }
            return;
        }
        let matches = |one: &Publish| one.guest == port && one.transport == transport;
        let Some(at) = self.publish.iter().position(matches) else { return };
        if addr.is_loopback() {
            return (self.say)(&format!(
                "the program listens on {addr} port {port} inside the VM only, where -p cannot reach it: \
                 let it listen on 0.0.0.0"
            ));
        }
        // slirp forwards to the guest's IPv4 address, which a listener on `::` accepts as well unless it is
        // IPV6_V6ONLY, which the line does not say.
        if addr.is_ipv6() && !addr.is_unspecified() {
            return;
        }
        let url = self.publish.remove(at).url();
        (self.say)(&url);
        self.check_ready();
    }

    fn check_ready(&mut self) {
        if !self.publish.iter().any(|one| one.transport == Transport::Tcp)
            && let Some(ready) = self.ready.take()
        {
            ready();
        }
    }
}

fn host(addr: IpAddr) -> String {
    if addr.is_ipv6() { format!("[{addr}]") } else { addr.to_string() }
}

fn answer(stream: UnixStream, answer: &Answer) {
    // The asking command may have gone away.
    let _ = json_line(stream, answer);
}
