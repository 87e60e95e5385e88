//! Terminal sessions: input is typed into a pseudo terminal on which the image runs, first as a Linux process and then
//! as a VM. The terminal must show the same, byte for byte, and its settings must be restored at the end.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::process;
use anyhow::{Context as _, Result, bail};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("terminal/facts", |context| both(context, "facts", 0, &[])));
    all.push(Case::new("terminal/line-editing", |context| both(context, "shell", 0, EDITING)));
    all.push(Case::new("terminal/control-keys", |context| both(context, "shell", 0, CONTROL)));
    all.push(Case::new("terminal/window", |context| both(context, "shell", 0, WINDOW)));
    all.push(Case::new("terminal/raw", |context| both(context, "raw", 0, RAW)));
    all.push(Case::new("terminal/interrupt", |context| both(context, "raw", 130, INTERRUPT)));
    all.push(Case::new("terminal/quit", quit));
    all.push(Case::new("terminal/escape", escape));
    all.push(Case::new("terminal/ended-from-outside", ended));
    all.push(Case::new("terminal/stopped-and-continued", stopped));
    all.push(Case::new("terminal/paste", paste));
    all.push(Case::new("terminal/serial-line", serial));
    all.push(Case::new("terminal/sqlite", sqlite).needs(&[Need::Toolchain, Need::Sqlite]).limit(300));
}

/// What the user does.
#[derive(Clone, Copy)]
enum Step {
    /// Waits until this is shown, after the text that was last waited for.
    See(&'static str),
    /// Types this.
    Type(&'static str),
    /// Resizes the window to this many rows and columns.
    Resize(u16, u16),
    /// Does nothing for this many milliseconds, where there is no output to wait for.
    Pause(u64),
}
use Step::{Pause, Resize, See, Type};

const EDITING: &[Step] = &[
    See("> "),
    Type("hello\x7f\x7fp me\r"),
    See("> "),
    Type("gone \x15stays\n"),
    See("> "),
    Type("one two_2\x17\x17\x17three\ttab\x7f\x7f\x7f\x7f\x12x\r"),
    See("> "),
    // Multi-byte characters are erased as a whole.
    Type("äöü日本\x7f\x7f\x7f\r"),
    See("> "),
    // Literal control characters, and erasing beyond the start of the line.
    Type("\x16\x03\x16\x04\x7f\x7f\x7f\x7f\x7fa\x01b\r"),
    See("> "),
    Type("\x04"),
    See("end\r\n"),
];

const CONTROL: &[Step] = &[
    See("> "),
    Type("half a line\x03"),
    See("interrupted\r\n> "),
    Type("\x03"),
    See("interrupted\r\n> "),
    // End of file in the middle of a line only ends the read.
    Type("ab\x04"),
    See("> "),
    Type("c\x04\x04"),
    See("end\r\n"),
];

const WINDOW: &[Step] = &[
    See("> "),
    Resize(50, 132),
    See("window 50 132\r\n> "),
    // The same size again is not a change.
    Resize(50, 132),
    Resize(20, 70),
    See("window 20 70\r\n> "),
    Type("x\r"),
    See("> "),
    Type("\x04"),
    See("end\r\n"),
];

const RAW: &[Step] = &[
    See("keys\r\n"),
    Type("a"),
    See("key 1: a\r\n"),
    Type("\x03"),
    See("key 1: 03\r\n"),
    Type("\x1b[A"),
    See("key 3: 1b [ A\r\n"),
    Type("\r"),
    See("key 1: 0d\r\n"),
    Type("\x04"),
    See("key 1: 04\r\n"),
    Type("q"),
    See("three\r\n"),
    Type("123"),
    See("lines again\r\n"),
    Type("cooked\r"),
    See("line 7: c o o k e d 0a\r\n"),
];

const INTERRUPT: &[Step] =
    &[See("keys\r\n"), Type("q"), See("three\r\n"), Type("123"), See("lines again\r\n"), Type("half\x03")];

/// A pseudo terminal with a simulated user.
struct Terminal {
    hands: File,
    settings: Termios,
    screen: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of the output the user has seen.
    looked: usize,
    child: Child,
    line: String,
}

impl Terminal {
    /// Starts a command on a new terminal.
    fn start(command: &mut Command) -> Result<Self> {
        let line = unibody::command::line(command);
        let master: PtyMaster =
            posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).context("no pseudo terminal")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname_r(&master)?;
        let master = OwnedFd::from(master);
        use std::os::unix::fs::OpenOptionsExt;
        let screen = OpenOptions::new().read(true).write(true).custom_flags(O_NOCTTY).open(path)?;
        let mut settings = tcgetattr(&screen)?;
        settings.input_modes |= InputModes::IUTF8;
        tcsetattr(&screen, OptionalActions::Now, &settings)?;
        tcsetwinsize(&screen, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })?;
        let (input, output, errors) = (screen.try_clone()?, screen.try_clone()?, screen.try_clone()?);
        command.env("TERM", "xterm").stdin(input).stdout(output).stderr(errors);
        let control = || {
            nix::unistd::setsid()?;
            // SAFETY: standard input was opened for the program, and stays open while this runs.
            rustix::process::ioctl_tiocsctty(unsafe { BorrowedFd::borrow_raw(0) })?;
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes two system calls; it neither allocates nor takes a lock.
        unsafe { command.pre_exec(control) };
        let child = command.spawn().with_context(|| format!("cannot start {line}"))?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut eyes, seen) = (File::from(master.try_clone()?), shown.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = eyes.read(&mut buffer) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            }
        });
        Ok(Self { hands: File::from(master), settings, screen, shown, looked: 0, child, line })
    }

    fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn report(&self) -> String {
        let text = self.transcript();
        format!("$ {}\nthe terminal shows\n{}", self.line, text.escape_debug().to_string().replace("\\n", "\\n\n"))
    }

    /// Waits until this was shown.
    fn see(&mut self, text: &str) -> Result<()> {
        let looked = self.looked;
        let found = process::eventually(Duration::from_secs(60), || {
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let at = shown[looked..].windows(text.len()).position(|window| window == text.as_bytes());
            at.map(|at| looked + at + text.len()).context("not seen")
        });
        match found {
            Ok(end) => self.looked = end,
            Err(_) => bail!("{text:?} was not shown\n{}", self.report()),
        }
        Ok(())
    }

    fn type_in(&mut self, text: &str) -> Result<()> {
        self.hands.write_all(text.as_bytes()).context("cannot type")
    }

    fn play(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            match *step {
                See(text) => self.see(text)?,
                Type(text) => self.type_in(text)?,
                Pause(time) => std::thread::sleep(Duration::from_millis(time)),
                Resize(rows, cols) => {
                    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
                    tcsetwinsize(&self.hands, size).context("cannot change the window")?;
                }
            }
        }
        Ok(())
    }

    fn is_restored(&self) -> Result<bool> {
        let now = tcgetattr(&self.screen)?;
        Ok(now.input_modes == self.settings.input_modes
            && now.output_modes == self.settings.output_modes
            && now.local_modes == self.settings.local_modes
            && now.control_modes == self.settings.control_modes)
    }

    /// Waits for the end; returns the status and everything that was shown. The settings must be restored.
    fn end(mut self) -> Result<(i32, String)> {
        let limit = Instant::now() + Duration::from_secs(60);
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break process::shell_status(status),
                None if Instant::now() > limit || process::interrupted() => bail!("it did not end\n{}", self.report()),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if !self.is_restored()? {
            bail!("the terminal was not put back\n{}", self.report());
        }
        // A mark at the very end, so that all output has been read.
        self.screen.write_all(b"#END#")?;
        self.see("#END#")?;
        let text = self.transcript().replace("#END#", "");
        Ok((status, text))
    }
}

const O_NOCTTY: i32 = 0o400;

impl Drop for Terminal {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Terminal {
    fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().cast_signed())
    }
}

fn vm(context: &Context, image: &Path, words: &[&str]) -> Command {
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none"]);
    command.arg(image).arg("--").args(words);
    command
}

/// The same session in both lives.
fn both(context: &Context, word: &str, status: i32, steps: &[Step]) -> Result<Tally> {
    let image = context.program("terminal")?;
    let session = |command: &mut Command| {
        let mut terminal = Terminal::start(command)?;
        terminal.play(steps)?;
        terminal.end()
    };
    let (linux_status, linux) = session(&mut process::command(&image, [word]))?;
    let (vm_status, shown) = session(&mut vm(context, &image, &[word]))?;
    if shown != linux {
        bail!("the two lives differ\nLinux: {linux:?}\nVM:    {shown:?}");
    }
    if (linux_status, vm_status) != (status, status) {
        bail!("expected status {status}: Linux {linux_status}, VM {vm_status}\n{shown}");
    }
    Ok(Tally::pass(""))
}

/// SIGQUIT is a crash, whose report reaches the raw terminal in whole lines. The program reads nothing. The key's echo and
/// the report are on two streams, so either may be first.
fn quit(context: &Context) -> Result<Tally> {
    let image = context.program("terminal")?;
    let mut terminal = Terminal::start(&mut vm(context, &image, &["busy"]))?;
    terminal.play(&[See("busy\r\n"), Type("\x1c"), See("killed by SIGQUIT")])?;
    let (status, shown) = terminal.end()?;
    if status != 131 || !shown.contains("^\\") || shown.replace("\r\n", "").contains(['\r', '\n']) {
        bail!("status {status}\n{shown:?}");
    }
    Ok(Tally::pass(""))
}

/// A program that ignores everything is ended all the same.
fn escape(context: &Context) -> Result<Tally> {
    let image = context.program("terminal")?;
    let mut terminal = Terminal::start(&mut vm(context, &image, &["stubborn"]))?;
    terminal.play(&[
        See("busy\r\n"),
        Type("\x03"),
        Type("\x03"),
        Type("\x03"),
        See("ends the VM\r\n"),
        Type("\x1d\x1d\x1d"),
    ])?;
    let (status, shown) = terminal.end()?;
    if status != 130 {
        bail!("expected status 130, found {status}\n{shown}");
    }
    Ok(Tally::pass(""))
}

/// SIGTERM to the tool ends the program and restores the terminal.
fn ended(context: &Context) -> Result<Tally> {
    let image = context.program("terminal")?;
    let mut terminal = Terminal::start(&mut vm(context, &image, &["shell"]))?;
    terminal.see("> ")?;
    nix::sys::signal::kill(terminal.pid(), nix::sys::signal::Signal::SIGTERM)?;
    let (status, shown) = terminal.end()?;
    if status != 143 {
        bail!("expected status 143, found {status}\n{shown}");
    }
    Ok(Tally::pass(""))
}

/// When stopped by a signal, the tool restores the terminal; when continued, it makes it raw again.
fn stopped(context: &Context) -> Result<Tally> {
    use nix::sys::signal::{Signal, kill};
    let image = context.program("terminal")?;
    let mut terminal = Terminal::start(&mut vm(context, &image, &["shell"]))?;
    terminal.see("> ")?;
    let settled = |terminal: &Terminal, wanted: bool, what: &str| {
        process::eventually(Duration::from_secs(10), || {
            if terminal.is_restored()? == wanted { Ok(()) } else { bail!("{what}") }
        })
    };
    settled(&terminal, false, "the terminal is not raw while the VM has it")?;
    kill(terminal.pid(), Signal::SIGTSTP)?;
    settled(&terminal, true, "stopped, but the terminal is still raw")?;
    kill(terminal.pid(), Signal::SIGCONT)?;
    settled(&terminal, false, "going on, but the terminal is not raw")?;
    terminal.play(&[Type("on\r"), See("line 3: o n 0a\r\n> "), Type("\x04"), See("end\r\n")])?;
    let (status, shown) = terminal.end()?;
    if status != 0 {
        bail!("expected status 0, found {status}\n{shown}");
    }
    Ok(Tally::pass(""))
}

/// A paste larger than any buffer on the way.
fn paste(context: &Context) -> Result<Tally> {
    const LINES: usize = 3000;
    let image = context.program("terminal")?;
    let mut terminal = Terminal::start(&mut vm(context, &image, &["shell"]))?;
    terminal.see("> ")?;
    let text: String = (0..LINES).map(|n| format!("line {n} of a long text\r")).collect();
    let mut hands = terminal.hands.try_clone()?;
    let typist = std::thread::spawn(move || hands.write_all(text.as_bytes()));
    for n in 0..LINES {
        let digits: Vec<_> = n.to_string().chars().map(|digit| digit.to_string()).collect();
        terminal.see(&format!(": l i n e 20 {} 20 o f", digits.join(" ")))?;
    }
    let _ = typist.join();
    terminal.play(&[Type("\x04"), See("end\r\n")])?;
    let (status, _) = terminal.end()?;
    Ok(Tally::pass(format!("{LINES} lines, status {status}")))
}

/// Without a virtio-console COM1 is the terminal, here through QEMU's own raw mode.
fn serial(context: &Context) -> Result<Tally> {
    let image = context.program("terminal")?;
    let mut qemu = process::command("qemu-system-x86_64", ["-accel", "tcg", "-cpu", "max", "-nodefaults"]);
    qemu.args(["-no-user-config", "-display", "none", "-no-reboot", "-m", "64M"]);
    qemu.args(["-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line"]);
    qemu.args(["-append", "tty=25x81 -- shell", "-kernel"]).arg(&image);
    let mut terminal = Terminal::start(&mut qemu)?;
    terminal.play(&[See("> "), Type("sz\x7ferial\r"), See("line 7: s e r i a l 0a"), See("> ")])?;
    terminal.play(&[Type("\x03"), See("interrupted"), See("> "), Type("\x04"), See("end")])?;
    let (status, shown) = terminal.end()?;
    if status != 0 || !shown.contains("sz\x08 \x08erial") {
        bail!("status {status}\n{shown:?}");
    }
    Ok(Tally::pass(""))
}

/// The SQLite shell as people use it.
fn sqlite(context: &Context) -> Result<Tally> {
    let image = context.sqlite()?;
    const STEPS: &[Step] = &[
        See("sqlite> "),
        Type("create table t(a, b);\r"),
        See("sqlite> "),
        Type("insert into t values(1, 'onr\x7fe'), (2, 'zwei'),\r"),
        See("   ...> "),
        Type("(3, 'três');\r"),
        See("sqlite> "),
        Type("select wrong\x17a, b from t where a <> 2;\r"),
        See("1|one\r\n3|três\r\nsqlite> "),
        Type("wrong;\r"),
        See("syntax error\r\n"),
        See("sqlite> "),
        // Ctrl-C stops an endless query, and the shell keeps running.
        Type("with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n;\r"),
        See(";\r\n"),
        Pause(2000),
        Type("\x03"),
        See("interrupted"),
        See("sqlite> "),
        Type("select 40 + 2;\r"),
        See("42\r\nsqlite> "),
        Type("\x04"),
    ];
    let mut both = Vec::new();
    for mut command in [process::command(&image, [""; 0]), vm(context, &image, &[])] {
        let mut terminal = Terminal::start(&mut command)?;
        terminal.play(STEPS)?;
        both.push(terminal.end()?);
    }
    // 1: the shell counts the errors.
    if both[0] != both[1] || both[0].0 != 1 {
        bail!("the two lives differ\nLinux: {:?}\nVM:    {:?}", both[0], both[1]);
    }
    Ok(Tally::pass(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_what_runs_at_it() {
        let Ok(mut terminal) = Terminal::start(&mut process::command("sh", ["-c", "stty size; read x; echo \"<$x>\""]))
        else {
            return;
        };
        terminal.play(&[See("24 80\r\n"), Type("abc\x7f\r"), See("<ab>\r\n")]).unwrap();
        let (status, shown) = terminal.end().unwrap();
        assert_eq!((status, shown.as_str()), (0, "24 80\r\nabc\x08 \x08\r\n<ab>\r\n"));
    }
}
