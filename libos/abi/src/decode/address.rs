//! Socket addresses.

use super::{Memory, memory, text};
use crate::constants::Domain;
use core::fmt::{Formatter, Result};

/// Writes a sockaddr of `len` bytes.
pub fn sockaddr(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, len: u64) -> Result {
    let mut bytes = [0; 110];
    let len = (len as usize).min(bytes.len());
    let bytes = &mut bytes[..len];
    if len < 2 || memory.read(at, bytes) < len {
        return write!(f, "{at:#x}");
    }
    let port = |b: &[u8]| u16::from_be_bytes([b[2], b[3]]);
    match Domain(u32::from(u16::from_le_bytes([bytes[0], bytes[1]]))) {
        Domain::UNSPEC => write!(f, "{{sa_family=AF_UNSPEC}}"),
        Domain::UNIX => unix(f, &bytes[2..]),
        Domain::INET if len >= 8 => {
            let [a, b, c, d] = [bytes[4], bytes[5], bytes[6], bytes[7]];
            write!(f, "{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{a}.{b}.{c}.{d}\")}}", port(bytes))
        }
        Domain::INET6 if len >= 24 => {
            let address = <[u8; 16]>::try_from(&bytes[8..24])
                .map(core::net::Ipv6Addr::from)
                .unwrap_or(core::net::Ipv6Addr::UNSPECIFIED);
            let flow = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let scope = bytes.get(24..28).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            write!(f, "{{sa_family=AF_INET6, sin6_port=htons({}), sin6_flowinfo=htonl({flow}), ", port(bytes))?;
            write!(f, "inet_pton(AF_INET6, \"{address}\", &sin6_addr), sin6_scope_id={scope}}}")
        }
        Domain::NETLINK if len >= 12 => {
            let pid = memory::word::<4>(memory, at + 4).unwrap_or(0);
            let groups = memory::word::<4>(memory, at + 8).unwrap_or(0);
            write!(f, "{{sa_family=AF_NETLINK, nl_pid={pid}, nl_groups={groups:08x}}}")
        }
        family => {
            write!(f, "{{sa_family={:#x}, sa_data=", family.0)?;
            text::quoted(f, &bytes[2..])?;
            f.write_str("}")
        }
    }
}

/// Writes a path, an abstract name (which begins with a NUL), or none.
fn unix(f: &mut Formatter<'_>, path: &[u8]) -> Result {
    f.write_str("{sa_family=AF_UNIX")?;
    match path.first() {
        None => {}
        Some(0) => {
            f.write_str(", sun_path=@")?;
            text::quoted(f, &path[1..])?;
        }
        Some(_) => {
            f.write_str(", sun_path=")?;
            text::quoted(f, path.split(|&b| b == 0).next().unwrap_or(path))?;
        }
    }
    f.write_str("}")
}
