//! `unibody run` in the foreground, with a script in QEMU's place.

mod common;

use common::World;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const HELLO: &str = "echo 'hello 1 fake' >&5";

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn output_is_exact_and_complete_and_the_status_is_the_programs() {
    let world = World::new(&format!(
        "{HELLO}; echo kernel talk >&6; head -c 3000000 /dev/urandom | tee $XDG_RUNTIME_DIR/sent >&3; \
         echo problem >&4; echo 'exit 7' >&5"
    ));
    let output = world.output(&["run", "fake.img"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout.len(), 3_000_000);
    assert!(output.stdout == std::fs::read(world.dir.path().join("sent")).unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("kernel talk\n") && errors.contains("problem\n"), "{errors}");
    // A foreground run leaves nothing behind.
    assert_eq!(world.text(&["ps", "--json"]).1, "[]\n");
}

#[test]
fn standard_input_arrives_with_its_end() {
    let world = World::new(&format!(
        "{HELLO}; read -u 5 word count; echo \"$word $count\" >&4; head -c $count <&3 >&3; echo 'exit 0' >&5"
    ));
    let mut child = world.unibody(&["run", "fake.img"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo\0three").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"one\ntwo\0three");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_crash_shows_as_its_signal() {
    let world = World::new(&format!("{HELLO}; echo 'crash 11 read of 0x0 in main' >&5; echo 'exit 1' >&5"));
    let (status, _, errors) = world.text(&["run", "fake.img"]);
    assert_eq!(status, 139);
    assert!(errors.contains("fake crashed: signal 11: read of 0x0 in main"), "{errors}");
}

#[test]
fn a_vmm_that_dies_is_an_error_with_its_words() {
    let world = World::new("echo 'qemu: no such thing' >&2; exit 1");
    let (status, output, errors) = world.text(&["run", "fake.img"]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert!(errors.contains("qemu: no such thing") && errors.contains("before the program reported"), "{errors}");
}

#[test]
fn a_vmm_that_does_not_power_off_is_ended() {
    let world = World::new(&format!("{HELLO}; echo out >&3; echo 'exit 3' >&5; exec sleep 60"));
    let (status, output, _) = world.text(&["run", "fake.img"]);
    assert_eq!((status, output.as_str()), (3, "out\n"));
}

#[test]
fn interrupt_is_sigterm_and_a_second_one_ends_the_vm() {
    let world = World::new(&format!(
        "{HELLO}; touch $XDG_RUNTIME_DIR/up; head -c 8 <&5 >&3; read -u 5 rest; echo 'exit 4' >&5"
    ));
    let stubborn = World::new(&format!("{HELLO}; touch $XDG_RUNTIME_DIR/up; exec sleep 60"));
    let run = |world: &World| {
        let child = world
            .unibody(&["run", "fake.img"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        world.wait_for("up");
        // The guest's hello has to be read before the signal, or the power button is pressed as well.
        std::thread::sleep(Duration::from_millis(100));
        child
    };
    let mut child = run(&world);
    signal(&child, Signal::SIGINT);
    let mut told = [0; 8];
    child.stdout.take().unwrap().read_exact(&mut told).unwrap();
    assert_eq!(&told, b"kill 15\n");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(4));

    let mut child = run(&stubborn);
    signal(&child, Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Starts the command in the background, with its standard error piped.
fn start(world: &World, options: &[&str], output: Stdio) -> Child {
    let mut command = world.unibody(&[&["run", "fake.img"], options].concat());
    let child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
    world.wait_for("up");
    child
}

#[test]
fn a_guest_that_does_not_end_is_ended_with_what_is_known_of_it() {
    // The monitor answers as QEMU does, with events and empty answers in between.
    let registers = r#"{"return": "\r\nCPU#0\r\nRIP=0000000000001234 RFL=00000002 [-------] HLT=0\r\n"}"#;
    let deaf = format!(
        "trap '' TERM; {HELLO}; touch $XDG_RUNTIME_DIR/up; while read -u 7 line; do case $line in *registers*) \
         echo '{{\"event\": \"STOP\"}}' >&7; echo '{{\"return\": {{}}}}' >&7; echo '{registers}' >&7;; esac; done"
    );
    for (number, status) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let world = World::new(&deaf);
        let child = start(&world, &["--stop-timeout", "2"], Stdio::null());
        let begin = Instant::now();
        signal(&child, number);
        // As `timeout` does: once to its child, once to the whole group.
        std::thread::sleep(Duration::from_millis(20));
        signal(&child, number);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{errors}");
        assert!(begin.elapsed() >= Duration::from_secs(2) && begin.elapsed() < Duration::from_secs(10), "{errors}");
        assert!(errors.contains("its VM is ended in 1 s"), "{errors}");
        assert!(errors.contains("fake did not end within 2 s of SIGTERM"), "{errors}");
        assert!(errors.contains("processor 0 runs with interrupts off, in 0x1234"), "{errors}");
    }
    // A VM whose kernel never sent anything, and a VMM that does not either.
    let world = World::new("trap '' TERM; touch $XDG_RUNTIME_DIR/up; exec sleep 60");
    let child = start(&world, &["--stop-timeout", "0"], Stdio::null());
    signal(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{errors}");
    assert!(errors.contains("never said that it has started") && errors.contains("the VMM does not tell"), "{errors}");
}

#[test]
fn output_that_nobody_reads_does_not_keep_a_vm_that_was_told_to_end() {
    let flood = "yes >&3 2>/dev/null & touch $XDG_RUNTIME_DIR/up; exec sleep 60";
    let world = World::new(&format!("trap '' TERM; {HELLO}; {flood}"));
    let mut child = start(&world, &["--stop-timeout", "1"], Stdio::piped());
    // Kept open and unread.
    let pipe = child.stdout.take();
    signal(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    drop(pipe);
}

#[test]
fn a_reader_that_goes_away_is_sigpipe() {
    let world = World::new(&format!(
        "{HELLO}; (while echo y; do :; done) >&3 2>/dev/null & while read -u 5 line; do \
         if [ \"$line\" = 'output-failed 1 32' ]; then echo 'exit 141' >&5; kill %1; exit; fi; done"
    ));
    let mut child = world.unibody(&["run", "fake.img"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

#[test]
fn addresses_are_told_once_the_program_listens() {
    let world = World::new(&format!(
        "{HELLO}; echo 'listen tcp :: 80' >&5; echo 'listen tcp 0.0.0.0 80' >&5; echo 'listen tcp 127.0.0.1 81' >&5; \
         echo 'exit 0' >&5"
    ));
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let (status, output, errors) = world.text(&["run", "fake.img", "-p", &format!("{port}:80"), "-p", "0:81"]);
    assert_eq!((status, output.as_str()), (0, ""));
    assert_eq!(errors.matches(&format!("http://127.0.0.1:{port}/\n")).count(), 1, "{errors}");
    assert!(errors.contains("inside the VM only"), "{errors}");
    // The image itself asks for a port when the user does not.
    let (_, _, errors) = world.text(&["run", "fake.img"]);
    assert!(errors.contains("http://127.0.0.1:"), "{errors}");
}

#[test]
fn an_address_is_told_when_the_program_waits_or_after_a_while() {
    let told = |guest: &str| {
        let world = World::new(guest);
        world.text(&["run", "fake.img", "-p", "0:80"]).2.contains("http://127.0.0.1:")
    };
    let listen = "echo 'hello 2 fake' >&5; echo 'listen tcp 0.0.0.0 80' >&5";
    assert!(!told(&format!("{listen}; sleep 1; echo 'exit 0' >&5")), "it never waited");
    assert!(told(&format!("{listen}; echo waits >&5; echo 'exit 0' >&5")));
    assert!(told(&format!("{listen}; sleep 7; echo 'exit 0' >&5")), "one that polls is told, too");
}

#[test]
fn refusals_come_before_the_vmm() {
    let world = World::new("");
    let refused = |args: &[&str], status: i32, text: &str| {
        let (code, output, errors) = world.text(&[&["run"], args].concat());
        assert_eq!((code, output.as_str()), (status, ""), "{args:?}: {errors}");
        assert!(errors.contains(text), "{args:?}: {errors}");
        assert!(!world.started());
    };
    refused(&["fake.img", "-m", "2M"], 1, "needs at least 4M");
    refused(&["./missing.img"], 1, "there is no such file");
    refused(&["missing"], 1, "neither an image file nor a port");
    refused(&["/bin/true"], 1, "not a unibody image");
    refused(&["qemu"], 1, "it is a script");
    refused(&["fake.img", "--name", "a/b"], 2, "cannot name a VM");
    refused(&["fake.img", "--net", "tap=nosuch0"], 1, "ip tuntap add dev nosuch0");
    refused(&["fake.img", "--net", "bridge"], 2, "expected user, tap=NAME or none");
    refused(&["fake.img", "--net", "none", "-p", "1:1"], 2, "has no network");
    refused(&["fake.img", "--rootfs", "nowhere"], 1, "there is no such folder");
    refused(&["fake.img", "--env-file", "nowhere"], 1, "--env-file nowhere");
    refused(&["fake.img", "-v", "a:b"], 2, "expected DIR:/path[:ro]");
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    refused(&["fake.img", "-p", &format!("{port}:80")], 1, &format!("port {port} is in use"));
}

#[test]
fn no_qemu() {
    let world = World::new("");
    let output = world.unibody(&["run", "fake.img"]).env_remove("UNIBODY_QEMU").env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not installed: qemu-system-x86_64"));
}

#[test]
fn a_dry_run_prints_a_line_that_works() {
    let world = World::new("printf '%s\\n' \"$@\" > $XDG_RUNTIME_DIR/args");
    let (status, line, _) = world.text(&["run", "fake.img", "--dry-run", "--machine", "microvm", "--", "a b"]);
    assert_eq!(status, 0);
    assert!(!world.started());
    let mut shell = std::process::Command::new("bash");
    shell.arg("-c").arg(&line).env("XDG_RUNTIME_DIR", world.dir.path());
    assert!(shell.status().unwrap().success());
    let args = std::fs::read_to_string(world.dir.path().join("args")).unwrap();
    let initrd = args.lines().skip_while(|word| *word != "-initrd").nth(1).unwrap();
    assert!(args.lines().any(|word| word == "microvm"));
    let archive = std::fs::read(initrd).unwrap();
    assert!(archive.windows(8).any(|bytes| bytes == b"arg=a b\0"));
}

#[test]
fn hosted_runs_in_its_own_root() {
    let world = World::new("");
    let (status, output, errors) = world.text(&["run", "--hosted", "fake.img"]);
    assert_eq!((status, output.as_str(), errors.as_str()), (5, "from the image\n", ""));
    std::fs::create_dir_all(world.dir.path().join("site/etc")).unwrap();
    std::fs::write(world.dir.path().join("site/etc/marker"), "from the overlay\n").unwrap();
    let tmp = world.dir.path().join("tmp");
    std::fs::create_dir(&tmp).unwrap();
    let output = world.unibody(&["run", "--hosted", "fake.img", "--rootfs", "site"]).env("TMPDIR", &tmp).output();
    assert_eq!(output.unwrap().stdout, b"from the overlay\n");
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0, "the private root is removed");
    assert!(!world.started());
    let (status, _, errors) = world.text(&["run", "--hosted", "fake.img", "-w", "/nowhere"]);
    assert_eq!(status, 1);
    assert!(errors.contains("-w /nowhere"), "{errors}");
}
