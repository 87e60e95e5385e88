//! Network options.

use crate::failure::usage;
use crate::vmm::{Forward, Network};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::str::FromStr;
use unibody_proto::control::Transport;
use unibody_proto::net::Ip4;

/// `--net`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    /// The VMM's own network, without privileges.
    User {
        /// The guest's address, prefix and gateway, if not the usual ones.
        guest: Option<(Ipv4Addr, u8, Option<Ipv4Addr>)>,
    },
    /// A TAP device of the host, and the guest's address if it is fixed.
    Tap(String, Option<Ipv4Addr>),
    /// No network card.
    None,
}

impl Net {
    /// Parses `--net`, takes `--ip` into account, and checks that a TAP device exists.
    pub fn new(text: &str, ip: &Ip4) -> Result<Self> {
        match (text, text.strip_prefix("tap=")) {
            ("user", _) => Ok(Self::User {
                guest: match *ip {
                    Ip4::Static { addr, prefix, gateway } if !is_usual(addr, prefix) => Some((addr, prefix, gateway)),
                    _ => None,
                },
            }),
            ("none", _) => Ok(Self::None),
            (_, Some(name)) => {
                let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
                if name.is_empty() || name.len() > 15 || !name.bytes().all(good) || matches!(name, "." | "..") {
                    return Err(usage(format!("--net tap={name}: that cannot be the name of a TAP device")));
                }
                // Not /sys/class/net, which may show a network namespace other than ours.
                let devices = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
                if !devices.lines().any(|line| line.trim_start().strip_prefix(name).is_some_and(|l| l.starts_with(':')))
                {
                    bail!(
                        "there is no TAP device {name}. To make one:\n  \
                         sudo ip tuntap add dev {name} mode tap user $(id -un) && sudo ip link set {name} up\n\
                         and give it an address in the guest's network, for example: \
                         sudo ip addr add 192.168.77.1/24 dev {name}"
                    );
                }
                let fixed = if let Ip4::Static { addr, .. } = *ip { Some(addr) } else { None };
                Ok(Self::Tap(name.to_owned(), fixed))
            }
            _ => Err(usage(format!("--net {text}: expected user, tap=NAME or none"))),
        }
    }

    /// What the guest's card is connected to.
    pub fn network(&self, publish: &[Publish]) -> Option<Network> {
        match self {
            Self::None => None,
            Self::Tap(name, _) => Some(Network::Tap(name.clone())),
            Self::User { guest } => {
                let forward = |one: &Publish| Forward { transport: one.transport, host: one.host, guest: one.guest };
                Some(Network::User { guest: *guest, forwards: publish.iter().map(forward).collect() })
            }
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { .. } => f.write_str("user"),
            Self::Tap(name, _) => write!(f, "tap={name}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Whether the user network serves this address, and forwards to it, by default.
fn is_usual(addr: Ipv4Addr, prefix: u8) -> bool {
    addr == Ipv4Addr::new(10, 0, 2, 15) && prefix == 24
}

/// `-p`: a port of the host that leads to a port of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Publish {
    /// TCP or UDP.
    pub transport: Transport,
    /// Where the host listens; port 0 means any free one.
    pub host: SocketAddrV4,
    /// Port in the guest.
    pub guest: u16,
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected [ADDRESS:]HOSTPORT:GUESTPORT[/tcp|/udp]";
        let (ports, transport) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Transport::Tcp),
            Some((ports, "udp")) => (ports, Transport::Udp),
            Some(_) => return Err(FORM.to_owned()),
        };
        if ports.starts_with('[') {
            return Err("QEMU's user network forwards IPv4 ports only; use --net tap=NAME for IPv6".to_owned());
        }
        let port = |text: &str| text.parse::<u16>().map_err(|_| format!("'{text}' is not a port; {FORM}"));
        let parts: Vec<_> = ports.split(':').collect();
        let (addr, host, guest) = match parts[..] {
            [host, guest] => (Ipv4Addr::LOCALHOST, host, guest),
            [addr, host, guest] => {
                (addr.parse().map_err(|_| format!("'{addr}' is not an IPv4 address; {FORM}"))?, host, guest)
            }
            _ => return Err(FORM.to_owned()),
        };
        let guest = port(guest)?;
        if guest == 0 {
            return Err(format!("the guest's port cannot be 0; {FORM}"));
        }
        Ok(Self { transport, host: SocketAddrV4::new(addr, port(host)?), guest })
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.guest, self.transport.name())
    }
}

impl TryFrom<String> for Publish {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Publish> for String {
    fn from(publish: Publish) -> Self {
        publish.to_string()
    }
}

impl Publish {
    /// Makes sure that the host's port is free; fills in a free one for port 0. Another process may take it before the
    /// VMM binds it; then the VMM's message says so.
    pub fn reserve(&mut self) -> std::io::Result<()> {
        let addr = match self.transport {
            Transport::Tcp => TcpListener::bind(self.host)?.local_addr()?,
            Transport::Udp => UdpSocket::bind(self.host)?.local_addr()?,
        };
        self.host.set_port(addr.port());
        Ok(())
    }

    /// How a client reaches it.
    pub fn url(&self) -> String {
        let ip = if self.host.ip().is_unspecified() { Ipv4Addr::LOCALHOST } else { *self.host.ip() };
        url(self.transport, &ip.to_string(), self.host.port(), self.guest)
    }
}

/// An address for people: a URL if the guest's port usually speaks HTTP.
pub fn url(transport: Transport, host: &str, port: u16, guest: u16) -> String {
    match (transport, guest) {
        (Transport::Tcp, 80 | 3000 | 5000 | 8000..=8442 | 8444..=8999) => format!("http://{host}:{port}/"),
        (Transport::Tcp, 443 | 8443) => format!("https://{host}:{port}/"),
        _ => format!("{host}:{port}/{}", transport.name()),
    }
}

/// A random MAC address from the range for virtual machines, most likely unique.
pub fn random_mac() -> Result<String> {
    let mut bytes = [0; 3];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let [a, b, c] = bytes;
    Ok(format!("52:54:00:{a:02x}:{b:02x}:{c:02x}"))
}

/// Checks `--mac`.
pub fn check_mac(text: &str) -> Result<String, String> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    match bytes.as_deref() {
        Some([first, _, _, _, _, _]) if text.len() == 17 && first & 1 == 0 => Ok(text.to_ascii_lowercase()),
        Some([first, ..]) if first & 1 == 1 => Err("a multicast address cannot be a card's own".to_owned()),
        _ => Err("expected six bytes like 52:54:00:12:34:56".to_owned()),
    }
}

/// Checks `--dns-search`.
pub fn check_domain(text: &str) -> Result<String, String> {
    let good = |part: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        (1..=63).contains(&part.len()) && part.bytes().all(plain)
    };
    if text.len() <= 253 && text.split('.').all(good) {
        Ok(text.to_owned())
    } else {
        Err("expected a domain like corp.example".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmm::USER_IP;

    #[test]
    fn publish() {
        let shown = |text: &str| text.parse::<Publish>().map(|publish| publish.to_string());
        assert_eq!(shown("8080:80").unwrap(), "127.0.0.1:8080:80/tcp");
        assert_eq!(shown("0.0.0.0:53:5353/udp").unwrap(), "0.0.0.0:53:5353/udp");
        assert_eq!(shown("8080:80/tcp").unwrap(), "127.0.0.1:8080:80/tcp");
        for bad in ["", "80", "x:80", "1:2:3", "8080:0", "8080:80/sctp", "[::1]:1:1", "1.2.3.4:1:2:3", "70000:1"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
        let publish: Publish = "0.0.0.0:8080:80".parse().unwrap();
        assert_eq!(publish.url(), "http://127.0.0.1:8080/");
        assert_eq!("6379:6379".parse::<Publish>().unwrap().url(), "127.0.0.1:6379/tcp");
        assert_eq!(publish, serde_json::from_str(&serde_json::to_string(&publish).unwrap()).unwrap());
    }

    #[test]
    fn reserve() {
        let mut publish: Publish = "0:80".parse().unwrap();
        publish.reserve().unwrap();
        assert_ne!(publish.host.port(), 0);
        let _held = TcpListener::bind(publish.host).unwrap();
        assert_eq!(publish.reserve().unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    }

    #[test]
    fn networks() {
        let publish: Publish = "8080:80".parse().unwrap();
        let user = |ip: &str| match Net::new("user", &Ip4::parse(ip).unwrap()).unwrap().network(&[publish]) {
            Some(Network::User { guest, forwards }) if forwards.len() == 1 => guest,
            other => panic!("{other:?}"),
        };
        assert_eq!(user(USER_IP), None);
        let gateway = Ipv4Addr::new(192, 168, 5, 1);
        assert_eq!(user("192.168.5.9/24,gw=192.168.5.1"), Some((Ipv4Addr::new(192, 168, 5, 9), 24, Some(gateway))));
        assert!(Net::new("tap=a,b", &Ip4::Dhcp).is_err());
        let missing = Net::new("tap=nosuch0", &Ip4::Dhcp).unwrap_err().to_string();
        assert!(missing.contains("ip tuntap add dev nosuch0 mode tap"), "{missing}");
        assert_eq!(Net::new("none", &Ip4::Dhcp).unwrap().network(&[publish]), None);
    }

    #[test]
    fn domains() {
        assert_eq!(check_domain("corp.example").unwrap(), "corp.example");
        for bad in ["", ".", "a..b", "a b", "a\nb", "a.", &"x".repeat(64)] {
            assert!(check_domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn macs() {
        assert_eq!(check_mac("52:54:00:AB:cd:01").unwrap(), "52:54:00:ab:cd:01");
        for bad in ["", "52:54:00:ab:cd", "53:54:00:ab:cd:01", "52-54-00-ab-cd-01", "52:54:0:ab:cd:01"] {
            assert!(check_mac(bad).is_err(), "{bad}");
        }
        assert_ne!(random_mac().unwrap(), random_mac().unwrap());
        assert!(check_mac(&random_mac().unwrap()).is_ok());
    }
}
