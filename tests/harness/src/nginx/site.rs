//! The site that all nginx cases serve, and nginx running on it.

use super::super::context::Context;
use super::super::process::{self, Running};
use super::super::vm::Vm;
use super::http;
use anyhow::{Context as _, Result, bail};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Bytes of the large download.
pub const LARGE: usize = 10 << 20;

/// A folder for `--rootfs`, and which nginx serves it.
pub struct Site {
    /// The folder.
    pub root: PathBuf,
    /// The port: `nginx` or `nginx:lean`.
    port: &'static str,
    /// The port on which the configuration `hosted.conf` listens.
    pub hosted_port: u16,
    /// Further ports.
    pub ports: Vec<Port>,
}

/// A further port on which a configuration listens.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Its number in the guest; in configurations it is called by this number, too.
    guest: u16,
    udp: bool,
    /// The same as a Linux process.
    hosted: u16,
    /// The port of this machine that leads to the guest's.
    published: u16,
}

impl Port {
    pub fn tcp(guest: u16) -> Result<Self> {
        let free = || -> Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        Ok(Self { guest, udp: false, hosted: free()?, published: free()? })
    }

    pub fn udp(guest: u16) -> Result<Self> {
        let free = || -> Result<u16> { Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port()) };
        Ok(Self { guest, udp: true, hosted: free()?, published: free()? })
    }

    /// Where clients reach it: as a Linux process, and in the VM.
    pub fn addresses(self) -> [SocketAddr; 2] {
        [self.hosted, self.published].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

/// The name of this machine for what runs in a VM with user networking.
const HOST: &str = "10.0.2.2";

/// What every configuration begins with.
const HEAD: &str = "daemon off;\nmaster_process off;\nerror_log stderr notice;\npid /run/nginx.pid;\n\
     events { worker_connections 1024; }\n";

/// Content in which a misplaced byte shows.
pub fn content(size: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// `port`: the port on which it reaches itself.
fn configuration(listen: &str, port: u16) -> String {
    format!(
        "{HEAD}\
         http {{\n  include /etc/nginx/mime.types;\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_timeout 65;\n\
         keepalive_requests 100000;\n  absolute_redirect off;\n  gzip on;\n  gzip_types text/plain;\n\
         client_body_temp_path /var/lib/nginx/body;\n  proxy_temp_path /var/lib/nginx/proxy;\n\
         include /var/lib/nginx/body/*0*;\n\
         server {{\n    {listen}\n    root /usr/share/nginx/html;\n    index index.html;\n\
         location / {{ try_files $uri $uri/ =404; }}\n    location /files/ {{ autoindex on; }}\n    location = /quiet {{ return 200 \"quiet\\n\"; }}\n\
         location = /logged {{ access_log /var/log/nginx/access.log; return 200 \"logged\\n\"; }}\n    location = /log {{ default_type text/plain; alias /var/log/nginx/access.log; }}\n\
         location = /add {{ client_body_in_file_only on; client_max_body_size 4k; proxy_pass http://127.0.0.1:{port}/quiet; proxy_pass_request_body off; }}\n    location /unix/ {{ proxy_pass http://unix:/run/site.sock:/; }}\n  }}\n\
         server {{ listen unix:/run/site.sock; root /usr/share/nginx/html; }}\n}}\n"
    )
}

impl Site {
    /// Creates the folder, for nginx with all modules.
    pub fn new(context: &Context) -> Result<Self> {
        Self::of(context, "nginx")
    }

    /// The same for the small one.
    pub fn lean(context: &Context) -> Result<Self> {
        Self::of(context, "nginx:lean")
    }

    fn of(context: &Context, port: &'static str) -> Result<Self> {
        let root = context.scratch("site")?;
        let html = root.join("usr/share/nginx/html");
        let etc = root.join("etc/nginx");
        std::fs::create_dir_all(html.join("files/folder"))?;
        std::fs::create_dir_all(&etc)?;
        let page: String = std::iter::repeat_n("<p>A page of 612 bytes, as nginx brings one.</p>\n", 20).collect();
        std::fs::write(html.join("index.html"), &page[..612])?;
        std::fs::write(html.join("64k"), content(65536))?;
        std::fs::write(html.join("large"), content(LARGE))?;
        std::fs::write(html.join("text.txt"), "compresses well\n".repeat(5000))?;
        std::fs::write(html.join("files/a <b> & c.txt"), "odd name\n")?;
        std::fs::write(html.join("files/plain.txt"), "plain\n")?;
        // A free port, found by asking for one. Another process may take it; then the case fails and says so.
        let hosted_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        std::fs::write(
            etc.join("test.conf"),
            configuration("listen 80 default_server backlog=1024; listen [::]:80 default_server backlog=1024;", 80),
        )?;
        std::fs::write(
            etc.join("hosted.conf"),
            configuration(&format!("listen 127.0.0.1:{hosted_port} default_server;"), hosted_port),
        )?;
        std::fs::write(etc.join("bad.conf"), "daemon off;\nmaster_process off;\nnonsense on;\nevents {}\n")?;
        Ok(Self { root, port, hosted_port, ports: Vec::new() })
    }

    /// The image.
    pub fn image(&self, context: &Context) -> Result<PathBuf> {
        context.port(self.port)
    }

    /// One of the further ports.
    pub fn port(&self, guest: u16) -> Port {
        *self.ports.iter().find(|port| port.guest == guest).expect("the case has this port")
    }

    /// Sets another configuration, of which `text` is what follows its first lines: `@LISTEN@` stands for the `listen` directives, `@SELF@` for the port, `@81@` for the
    /// address of the further port 81, `@HOST@` for this machine.
    pub fn configure(&self, text: &str) -> Result<()> {
        let etc = self.root.join("etc/nginx");
        let hosted = format!("listen 127.0.0.1:{};", self.hosted_port);
        for (name, listen, port, host) in
            [("test.conf", "listen 80;", 80, HOST), ("hosted.conf", &hosted, self.hosted_port, "127.0.0.1")]
        {
            let text = text.replace("@LISTEN@", listen).replace("@SELF@", &port.to_string()).replace("@HOST@", host);
            let text = self.ports.iter().fold(text, |text, port| {
                let address = if host == HOST { port.guest.to_string() } else { format!("{host}:{}", port.hosted) };
                text.replace(&format!("@{}@", port.guest), &address)
            });
            std::fs::write(etc.join(name), HEAD.to_owned() + &text)?;
        }
        Ok(())
    }

    /// Starts nginx in a VM; returns it and its address on this machine.
    pub fn vm<'a>(
        &self,
        context: &'a Context,
        options: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Result<(Vm<'a>, SocketAddr)> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut publish = vec![format!("{port}:80")];
        publish.extend(
            self.ports
                .iter()
                .map(|port| format!("{}:{}{}", port.published, port.guest, if port.udp { "/udp" } else { "" })),
        );
        let mut words: Vec<&str> = publish.iter().flat_map(|publish| ["-p", publish]).collect();
        words.extend(options);
        let vm = self.start(context, &words, change)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        process::eventually(Duration::from_secs(30), || answers(address))
            .with_context(|| format!("nginx does not answer\n{}", vm.logs()))?;
        Ok((vm, address))
    }

    /// Starts nginx in a VM without waiting for it.
    pub fn start<'a>(
        &self,
        context: &'a Context,
        options: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Result<Vm<'a>> {
        // The port's image leaves out host folders; called by name, the tool links one that has them.
        let image = if options.contains(&"-v") { self.port.into() } else { self.image(context)? };
        let (root, image) = (self.root.to_string_lossy(), image.to_string_lossy());
        let mut words = options.to_vec();
        words.extend(["--rootfs", &root, &image, "--", "-c", "/etc/nginx/test.conf"]);
        Vm::start_with(context, words, change)
    }

    /// The same image as a Linux process.
    pub fn hosted(&self, context: &Context) -> Result<(Running, SocketAddr)> {
        let mut command = context.unibody(["run", "--hosted", "--rootfs"]);
        command.arg(&self.root).arg(self.image(context)?).args(["--", "-c", "/etc/nginx/hosted.conf"]);
        let mut running = process::start(&mut command, b"")?;
        let address = SocketAddr::from(([127, 0, 0, 1], self.hosted_port));
        let up =
            process::eventually(Duration::from_secs(10), || if running.alive() { answers(address) } else { Ok(()) });
        if !running.alive() || up.is_err() {
            bail!("nginx does not answer as a Linux process\n{}", running.terminate(Duration::from_secs(3))?.report());
        }
        Ok((running, address))
    }
}

fn answers(address: SocketAddr) -> Result<()> {
    let response = http::get(address, "/")?;
    if response.status != 200 {
        bail!("status {}", response.status);
    }
    Ok(())
}
