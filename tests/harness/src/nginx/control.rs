//! Signals and configurations: reload, reopen, stop, refuse.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::http;
use super::site::Site;
use anyhow::{Context as _, Result, bail, ensure};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// nginx writes the body of a request to `/add` into a file that its configuration includes: so that a test can change
/// the configuration of a running VM.
fn add(address: SocketAddr, text: &str) -> Result<()> {
    let request =
        format!("POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
    let response = http::exchange(address, request.as_bytes())?;
    ensure!(response.status == 200, "the configuration could not be added: {}", response.head);
    Ok(())
}

fn as_host(address: SocketAddr, host: &str) -> Result<String> {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    Ok(String::from_utf8_lossy(&http::exchange(address, request.as_bytes())?.body).into_owned())
}

/// HUP loads a changed configuration and keeps the old one if the new one is invalid; USR1 reopens logs.
pub fn reload(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    let (vm, address) = site.vm(context, &[], |_| {})?;
    add(address, "server { listen 80; server_name changed; return 200 \"new configuration\\n\"; }\n")?;
    ensure!(!as_host(address, "changed")?.contains("new configuration"), "it is there before the reload");
    vm.kill("HUP")?;
    process::eventually(Duration::from_secs(5), || match as_host(address, "changed")? {
        text if text == "new configuration\n" => Ok(()),
        text => bail!("HUP did not load the new configuration: {text:?}\n{}", vm.logs()),
    })?;
    add(address, "this is no configuration;\n")?;
    vm.kill("HUP")?;
    process::eventually(Duration::from_secs(5), || {
        ensure!(
            vm.logs().contains("unknown directive \"this\""),
            "nginx says nothing about the bad configuration\n{}",
            vm.logs()
        );
        Ok(())
    })?;
    ensure!(as_host(address, "changed")? == "new configuration\n", "the old configuration is gone");
    ensure!(http::get(address, "/")?.status == 200, "the page is gone");
    let lines =
        || -> Result<usize> { Ok(http::get(address, "/log")?.body.iter().filter(|byte| **byte == b'\n').count()) };
    http::get(address, "/logged")?;
    let before = lines()?;
    vm.kill("USR1")?;
    process::eventually(Duration::from_secs(5), || {
        ensure!(vm.logs().contains("reopening logs"), "USR1 did not reopen the logs\n{}", vm.logs());
        Ok(())
    })?;
    http::get(address, "/logged")?;
    let after = lines()?;
    ensure!(after > before, "the log does not grow after USR1: {before} lines before, {after} after");
    ensure!(vm.stop()?.took < Duration::from_secs(2), "stopping took too long");
    let status = vm.status(Duration::from_secs(5))?;
    ensure!(status == 0, "exit status {status}\n{}", vm.logs());
    Ok(Tally::pass(""))
}

/// `run -d` reports readiness when nginx waits for events: an earlier signal would only set a flag that it checks after
/// the first event, and here there never is one.
pub fn signal_at_once(context: &Context) -> Result<Tally> {
    const TIMES: usize = 6;
    let site = Site::new(context)?;
    // The large file is slow to copy into the guest, and nothing here requests it.
    std::fs::write(site.root.join("usr/share/nginx/html/large"), "small here\n")?;
    // Their tables are created between listening and waiting.
    let configuration = site.root.join("etc/nginx/test.conf");
    let text = std::fs::read_to_string(&configuration)?;
    std::fs::write(&configuration, text.replace("worker_connections 1024", "worker_connections 60000"))?;
    for time in 0..TIMES {
        let smp = ["1", "2"][time / 2 % 2];
        let vm = site.start(context, &["--smp", smp, "-m", "256M", "-p", "0:80"], |_| {})?;
        if time % 2 == 0 {
            vm.kill("HUP")?;
            // Not its signal handler's line, which is longer.
            process::eventually(Duration::from_secs(10), || {
                ensure!(vm.logs().contains(": reconfiguring\n"), "start {time}: HUP is not handled\n{}", vm.logs());
                Ok(())
            })?;
        } else {
            vm.kill("QUIT")?;
            let status = vm.status(Duration::from_secs(10)).context("QUIT is not handled")?;
            ensure!(status == 0, "start {time}: exit status {status}\n{}", vm.logs());
        }
    }
    Ok(Tally::pass(format!("{TIMES} starts")))
}

/// SIGTERM: exit status 0 within two seconds, in the background and in the foreground, with connections open.
pub fn stop(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    let mut slowest = Duration::ZERO;
    for machine in ["q35", "microvm,acpi=off", "pc"] {
        let (vm, address) = site.vm(context, &["--machine", machine], |_| {})?;
        let mut open = http::Connection::open(address)?;
        open.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")?;
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        vm.stop()?;
        slowest = slowest.max(start.elapsed());
        ensure!(start.elapsed() < Duration::from_secs(2), "stopping took {:?} on {machine}", start.elapsed());
        let status = vm.status(Duration::from_secs(5))?;
        ensure!(status == 0, "exit status {status} on {machine}\n{}", vm.logs());
    }
    Ok(Tally::pass(format!("slowest {:.2} s", slowest.as_secs_f32())))
}

/// nginx's own message, exit status 1, as a VM and as a process.
pub fn bad_configuration(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    let image = context.nginx()?;
    for (file, message) in [
        ("/etc/nginx/bad.conf", "unknown directive \"nonsense\" in /etc/nginx/bad.conf:3"),
        ("/etc/nginx/none.conf", "open() \"/etc/nginx/none.conf\" failed (2: No such file or directory)"),
    ] {
        for hosted in [false, true] {
            let words: &[&str] = if hosted { &["run", "--hosted"] } else { &["run", "--accel", "tcg"] };
            let mut command = context.unibody(words);
            command.arg("--rootfs").arg(&site.root).arg(&image).args(["--", "-c", file]);
            let done = process::run(&mut command, b"", Duration::from_secs(60))?.expect(1)?;
            ensure!(done.err().contains(message), "nginx's message is missing\n{}", done.report());
        }
    }
    Ok(Tally::pass(""))
}

/// `./nginx.img -p DIR -c DIR/nginx.conf` is an ordinary Linux program with the paths of this machine.
pub fn direct_start(context: &Context) -> Result<Tally> {
    let folder = context.scratch("direct")?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    std::fs::create_dir_all(folder.join("html"))?;
    std::fs::write(folder.join("html/index.html"), "served from the host's paths\n")?;
    let conf = folder.join("nginx.conf");
    let temp: String = ["client_body", "proxy"].map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
    std::fs::write(
        &conf,
        format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temp}server {{ listen 127.0.0.1:{port}; root html; }}\n}}\n"
        ),
    )?;
    let mut command = process::command(context.nginx()?, ["-p"]);
    let running = process::start(command.arg(&folder).arg("-c").arg(&conf), b"")?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = process::eventually(Duration::from_secs(10), || http::get(address, "/"));
    let done = running.terminate(Duration::from_secs(5))?;
    let Ok(answer) = answer else { bail!("nginx does not answer\n{}", done.report()) };
    ensure!(answer.body == b"served from the host's paths\n", "{}", answer.head);
    done.expect(0)?;
    Ok(Tally::pass(""))
}

/// `unibody ports` prints the version that was built, and nginx reports the same, with the modules of its recipe.
pub fn version(context: &Context) -> Result<Tally> {
    let ports = context.tool(["ports"])?.expect(0)?.out();
    let mut note = String::new();
    for (name, image, modules) in [("nginx", context.nginx()?, true), ("nginx:lean", context.nginx_lean()?, false)] {
        let line = ports.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_default();
        let built = line.split_whitespace().nth(1).unwrap_or_default();
        let upstream = built.split('-').next().unwrap_or_default();
        ensure!(built.starts_with(|c: char| c.is_ascii_digit()), "no version of {name} in {line:?}");
        let said = process::run(&mut process::command(image, ["-V"]), b"", Duration::from_secs(10))?.expect(0)?;
        ensure!(said.err().contains(&format!("nginx/{upstream}\n")), "`unibody ports` says {built}\n{}", said.report());
        ensure!(said.err().contains("--with-stream") == modules, "{name} has other modules\n{}", said.report());
        built.clone_into(&mut note);
    }
    Ok(Tally::pass(note))
}
