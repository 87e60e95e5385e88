//! Detached VMs and the commands for living with them, with a script in QEMU's place.

mod common;

use common::World;
use std::time::Duration;

/// Echoes its control messages, and ends on `kill 15`.
const SERVER: &str = "echo 'hello 1 fake' >&5; echo started >&3; echo 'listen tcp 0.0.0.0 80' >&5
while read -u 5 line; do echo \"got $line\" >&3; if [ \"$line\" = 'kill 15' ]; then echo 'exit 0' >&5; exit; fi; done";

const DEAF: &str = "trap '' TERM; echo 'hello 1 fake' >&5; exec sleep 60 3>&3";

#[test]
fn the_whole_life() {
    let world = World::new(SERVER);
    let (status, output, errors) = world.text(&["run", "-d", "--name", "web", "fake.img", "-p", "0:80"]);
    assert_eq!((status, output.as_str()), (0, "web\n"), "{errors}");
    assert!(errors.contains("http://127.0.0.1:"), "{errors}");

    let (_, list, _) = world.text(&["ps", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["name"], &list[0]["running"]), (&"web".into(), &true.into()));
    assert!(world.text(&["ps"]).1.contains("web   up "));

    let (status, _, errors) = world.text(&["run", "--name", "web", "fake.img"]);
    assert_eq!(status, 1);
    assert!(errors.contains("the name 'web' is held by a running VM"), "{errors}");
    let port = list[0]["publish"][0].as_str().unwrap().split(':').nth(1).unwrap();
    let (status, _, errors) = world.text(&["run", "fake.img", "-p", &format!("{port}:80")]);
    assert_eq!(status, 1);
    assert!(errors.contains(&format!("port {port} is in use by the VM 'web'")), "{errors}");

    assert_eq!(world.text(&["kill", "-s", "HUP", "web"]).0, 0);
    let (status, _, errors) = world.text(&["rm", "web"]);
    assert_eq!(status, 1);
    assert!(errors.contains("is running"), "{errors}");
    assert_eq!(world.text(&["stop", "web"]).0, 0);
    let (_, logs, _) = world.text(&["logs", "web"]);
    for part in ["started\n", "got stdin-end 0\n", "got kill 1\n", "got kill 15\n", "http://127.0.0.1:"] {
        assert!(logs.contains(part), "{part:?} in {logs}");
    }
    assert_eq!(world.text(&["logs", "-f", "--tail", "1", "web"]).1, "got kill 15\n");
    assert!(world.text(&["ps"]).1.contains("ended (0)"));
    assert!(!world.text(&["ps", "--running"]).1.contains("web"));
    assert!(world.text(&["inspect", "--json", "web"]).1.contains("\"status\": 0"));
    let (_, shown, _) = world.text(&["inspect", "web"]);
    assert!(shown.contains("ended (0)") && shown.contains("/etc/marker"), "{shown}");

    let (status, _, errors) = world.text(&["run", "--name", "web", "fake.img"]);
    assert_eq!(status, 1);
    assert!(errors.contains("`unibody rm web`"), "{errors}");
    assert_eq!(world.text(&["rm", "web"]).0, 0);
    let (status, _, errors) = world.text(&["logs", "web"]);
    assert_eq!(status, 1);
    assert!(errors.contains("there is no VM named 'web'"), "{errors}");
}

#[test]
fn names_are_made_up_and_two_run_at_once() {
    let world = World::new(SERVER);
    assert_eq!(world.text(&["run", "-d", "fake.img"]).1, "fake\n");
    assert_eq!(world.text(&["run", "-d", "fake.img"]).1, "fake-2\n");
    assert_eq!(world.text(&["stop", "fake", "fake-2"]).1, "fake\nfake-2\n");
    assert_eq!(world.text(&["rm", "fake", "fake-2"]).0, 0);
}

#[test]
fn stop_ends_what_does_not_listen() {
    let world = World::new(DEAF);
    assert_eq!(world.text(&["run", "-d", "fake.img", "--net", "none"]).1, "fake\n");
    let begin = std::time::Instant::now();
    let (status, output, errors) = world.text(&["stop", "-t", "1", "fake"]);
    assert_eq!((status, output.as_str()), (0, "fake\n"), "{errors}");
    assert!(begin.elapsed() < Duration::from_secs(8));
    let forced = "fake did not end within 1 s of SIGTERM, so its VM is ended by force";
    assert!(errors.contains(forced), "{errors}");
    assert!(world.text(&["logs", "fake"]).1.contains(forced));
    assert!(world.text(&["inspect", "fake"]).1.contains(forced));
    assert!(world.text(&["ps"]).1.contains("ended (137)"));
    assert_eq!(world.text(&["rm", "fake"]).0, 0);
    assert_eq!(world.text(&["run", "-d", "fake.img", "--net", "none"]).1, "fake\n");
    assert_eq!(world.text(&["kill", "fake"]), (0, "fake\n".into(), String::new()));
    assert_eq!(world.text(&["run", "-d", "fake.img", "--net", "none", "--name", "x"]).1, "x\n");
    assert_eq!(world.text(&["rm", "-f", "x", "fake"]).0, 0);
    // Without -t, the timeout that the VM was started with applies.
    world.text(&["run", "-d", "fake.img", "--net", "none", "--stop-timeout", "1"]);
    assert!(world.text(&["stop", "fake"]).2.contains("within 1 s of SIGTERM"));
    assert_eq!(world.text(&["rm", "fake"]).0, 0);
    assert_eq!(world.text(&["ps", "--json"]).1, "[]\n");
}

#[test]
fn failures_reach_the_terminal() {
    let world = World::new("echo 'qemu: broken' >&2; exit 1");
    let (status, output, errors) = world.text(&["run", "-d", "fake.img"]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert!(errors.contains("qemu: broken"), "{errors}");
    assert_eq!(world.text(&["ps", "--json"]).1, "[]\n");
    let (status, _, errors) = world.text(&["run", "-d", "fake.img", "-m", "2M"]);
    assert_eq!(status, 1);
    assert!(errors.contains("needs at least 4M"), "{errors}");

    let world = World::new("echo 'hello 1 fake' >&5; echo bad configuration >&4; echo 'exit 1' >&5");
    let (status, _, errors) = world.text(&["run", "-d", "fake.img", "-p", "0:80"]);
    assert_eq!(status, 1);
    assert!(errors.contains("ended with status 1; `unibody logs fake`"), "{errors}");
    assert!(world.text(&["logs", "fake"]).1.contains("bad configuration\n"));
}

#[test]
fn a_vanished_supervisor_takes_the_vmm_with_it_and_is_noticed() {
    let world = World::new(&format!("echo $$ > $XDG_RUNTIME_DIR/vmm; {DEAF}"));
    assert_eq!(world.text(&["run", "-d", "fake.img", "--net", "none"]).1, "fake\n");
    let list: serde_json::Value = serde_json::from_str(&world.text(&["ps", "--json"]).1).unwrap();
    let supervisor = list[0]["supervisor"].as_i64().unwrap() as i32;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), nix::sys::signal::Signal::SIGKILL).unwrap();
    let vmm = std::fs::read_to_string(world.dir.path().join("vmm")).unwrap();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", vmm.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while alive() {
        assert!(std::time::Instant::now() < end, "the VMM outlives its supervisor");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(world.text(&["ps"]).1.contains("lost"));
    assert_eq!(world.text(&["rm", "fake"]).0, 0);
}
