//! Socket addresses as programs write them (sockaddr_in, sockaddr_in6, sockaddr_un, sockaddr_nl).

use libos_base::abi::af;
use libos_base::{Errno, Result};
use smoltcp::wire::{IpAddress, Ipv4Address, Ipv6Address};

/// Largest address (sockaddr_storage).
pub const MAX: usize = 128;

/// An encoded address.
#[derive(Clone, Copy, Debug)]
pub struct Addr {
    bytes: [u8; MAX],
    len: u8,
}

impl Addr {
    /// No address: length 0.
    pub const fn none() -> Self {
        Self { bytes: [0; MAX], len: 0 }
    }
    /// Copies an encoded address; EINVAL if it is too long.
    pub fn from_bytes(b: &[u8]) -> Result<Self> {
        let mut a = Self::none();
        a.bytes.get_mut(..b.len()).ok_or(Errno::EINVAL)?.copy_from_slice(b);
        a.len = b.len() as u8;
        Ok(a)
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
    /// AF_*; `None` if there is no address.
    pub fn family(&self) -> Option<u16> {
        family(self.as_bytes()).ok()
    }
    /// An internet address, for a socket of family AF_INET6 (`v6`) or AF_INET.
    pub fn inet(name: (IpAddress, u16), v6: bool, scope: u32) -> Self {
        let mut a = Self::none();
        let port = name.1.to_be_bytes();
        match name.0 {
            IpAddress::Ipv4(ip) if !v6 => {
                a.bytes[..2].copy_from_slice(&af::INET.to_le_bytes());
                a.bytes[2..4].copy_from_slice(&port);
                a.bytes[4..8].copy_from_slice(&ip.octets());
                a.len = 16;
            }
            ip => {
                let (octets, scope) = match ip {
                    IpAddress::Ipv4(ip) => (ip.to_ipv6_mapped().octets(), 0),
                    IpAddress::Ipv6(ip) => (ip.octets(), if is_link_local(&ip) { scope } else { 0 }),
                };
                a.bytes[..2].copy_from_slice(&af::INET6.to_le_bytes());
                a.bytes[2..4].copy_from_slice(&port);
                a.bytes[8..24].copy_from_slice(&octets);
                a.bytes[24..28].copy_from_slice(&scope.to_le_bytes());
                a.len = 28;
            }
        }
        a
    }
}

fn is_link_local(a: &Ipv6Address) -> bool {
    a.segments()[0] & 0xffc0 == 0xfe80
}

/// The family field. EINVAL if the address is too short for one.
pub fn family(b: &[u8]) -> Result<u16> {
    Ok(u16::from_le_bytes(*b.first_chunk::<2>().ok_or(Errno::EINVAL)?))
}

/// Reads an internet address for a socket of AF_INET6 (`v6`) or AF_INET. A mapped IPv4 address becomes that IPv4
/// address.
pub fn parse_inet(b: &[u8], v6: bool) -> Result<(IpAddress, u16)> {
    let f = family(b)?;
    if v6 && f == af::INET6 {
        let ip: [u8; 16] = b.get(8..24).and_then(|s| s.try_into().ok()).ok_or(Errno::EINVAL)?;
        let port = u16::from_be_bytes([b[2], b[3]]);
        let ip = Ipv6Address::from(ip);
        return Ok((ip.to_ipv4_mapped().map_or(IpAddress::Ipv6(ip), IpAddress::Ipv4), port));
    }
    if f == af::INET && (!v6 || b.len() >= 16) {
        if b.len() < 16 {
            return Err(Errno::EINVAL);
        }
        return Ok((IpAddress::Ipv4(Ipv4Address::new(b[4], b[5], b[6], b[7])), u16::from_be_bytes([b[2], b[3]])));
    }
    if b.len() < if v6 { 24 } else { 16 } {
        return Err(Errno::EINVAL);
    }
    Err(Errno::EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        let v4 = (IpAddress::v4(10, 1, 2, 3), 8080);
        assert_eq!(Addr::inet(v4, false, 0).as_bytes(), [2, 0, 0x1f, 0x90, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse_inet(Addr::inet(v4, false, 0).as_bytes(), false), Ok(v4));
        assert_eq!(parse_inet(Addr::inet(v4, true, 0).as_bytes(), true), Ok(v4), "mapped");
        let v6 = (IpAddress::v6(0xfe80, 0, 0, 0, 1, 2, 3, 4), 1);
        let a = Addr::inet(v6, true, 2);
        assert_eq!((parse_inet(a.as_bytes(), true), a.as_bytes()[24]), (Ok(v6), 2));
        assert_eq!(parse_inet(a.as_bytes(), false), Err(Errno::EAFNOSUPPORT));
        assert_eq!(parse_inet(&[2, 0, 1], false), Err(Errno::EINVAL));
        assert_eq!(parse_inet(&[], false), Err(Errno::EINVAL));
    }
}
