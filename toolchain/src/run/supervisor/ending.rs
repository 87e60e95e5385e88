//! Asking the program to end, and ending its VM when it does not.

use super::super::last_words;
use super::{Deadline, Outcome, Supervisor};
use crate::vmm::{Processor, process};
use std::time::{Duration, Instant};
use unibody_proto::control::FromHost;

const SIGTERM: u8 = 15;
/// A signal repeated within this time is the same request: `timeout` signals its child, and then their process group.
const ONE_REQUEST: Duration = Duration::from_millis(250);
/// How long the VMM has to report what a guest that does not end is doing.
const LAST_WORDS: Duration = Duration::from_secs(3);

impl Supervisor<'_> {
    pub(super) fn signal(&mut self, number: i32) {
        let status = 128 + number as u8;
        match self.asked {
            Some((first, at)) if first == number && at.elapsed() < ONE_REQUEST => {}
            Some(_) => self.kill(status),
            None => {
                self.asked = Some((number, Instant::now()));
                self.ask_to_end(self.patience, Deadline::Remind(self.patience / 2), status);
            }
        }
    }

    /// Asks the program to end and ends the VM after `limit`; at half that time `half_way` is tried.
    pub(super) fn ask_to_end(&mut self, limit: Duration, half_way: Deadline, status: u8) {
        if self.vmm_ended.is_some() {
            return self.kill(status);
        }
        self.end_program();
        let now = Instant::now();
        for (after, what) in [(limit / 2, half_way), (limit, Deadline::GiveUp(limit, status))] {
            // A time beyond the clock's range never comes.
            self.deadlines.extend(now.checked_add(after).map(|at| (at, what)));
        }
    }

    /// The program did not end: asks the VMM what its processors are doing, then ends the VM.
    fn give_up(&mut self, limit: Duration, status: u8) {
        let begun = if self.hello { "" } else { "; the kernel never said that it has started the program" };
        self.forced = Some(format!(
            "{} did not end within {} s of SIGTERM, so its VM is ended by force, {} s after its start{begun}",
            self.name,
            limit.as_secs(),
            self.started.elapsed().as_secs()
        ));
        self.outcome.get_or_insert(Outcome::Ended(status));
        self.monitor.ask_processors();
        self.deadlines.push((Instant::now() + LAST_WORDS, Deadline::Kill(status)));
    }

    /// Records what the processors of a guest that is given up on are doing.
    pub(super) fn last_words(&mut self, processors: &[Processor]) {
        self.end_vmm();
        self.deadlines.clear();
        let lines = last_words::lines(processors, &(self.image)());
        if let Some(forced) = &mut self.forced
            && !lines.is_empty()
        {
            *forced += &format!("; {}", lines.join(", "));
        }
    }

    /// Asks the program to end; a guest that never said hello gets the power button as well.
    fn end_program(&mut self) {
        self.control.send(FromHost::Kill(SIGTERM));
        if !self.hello {
            self.monitor.power_down();
        }
    }

    pub(super) fn overdue(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.deadlines.iter().filter(|(at, _)| *at <= now).map(|(_, what)| *what).collect();
        self.deadlines.retain(|(at, _)| *at > now);
        for what in due {
            match what {
                Deadline::Remind(left) => (self.say)(&format!(
                    "the program has not ended yet; its VM is ended in {} s, or at once by a second signal (Ctrl-C)",
                    left.as_secs()
                )),
                Deadline::GiveUp(limit, status) => self.give_up(limit, status),
                Deadline::Waits => self.serves(),
                Deadline::Leave => self.delivered = true,
                Deadline::PowerDown => self.monitor.power_down(),
                Deadline::Kill(status) => {
                    if let Some(forced) = &mut self.forced {
                        *forced += "; the VMM does not tell what its processors do";
                    }
                    self.kill(status);
                }
            }
        }
    }

    /// Ends the VMM. The status counts unless the program's own is known.
    pub(super) fn kill(&mut self, status: u8) {
        self.outcome.get_or_insert(Outcome::Ended(status));
        self.end_vmm();
        // Once it has ended, all that could hold us up is a reader that does not read the output.
        self.delivered |= self.vmm_ended.is_some();
    }

    fn end_vmm(&self) {
        // Once it was reaped, its number may belong to another process.
        if self.vmm_ended.is_none() {
            process::end(self.vmm);
        }
    }
}
