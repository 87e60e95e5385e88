//! Addresses as parameters spell them, so that the tool refuses what the guest would not understand.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// The value of `ip=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ip4 {
    /// Ask a DHCP server.
    #[default]
    Dhcp,
    /// No IPv4.
    None,
    /// A fixed address.
    Static {
        /// Own address.
        addr: Ipv4Addr,
        /// Bits of the network part.
        prefix: u8,
        /// Default gateway.
        gateway: Option<Ipv4Addr>,
    },
}

impl Ip4 {
    /// Parses `dhcp`, `none` or `A.B.C.D/N[,gw=X]`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "dhcp" => Some(Self::Dhcp),
            "none" => Some(Self::None),
            _ => fixed(text, 32).map(|(addr, prefix, gateway)| Self::Static { addr, prefix, gateway }),
        }
    }
}

/// The value of `ip6=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ip6 {
    /// Link-local, and router advertisements.
    #[default]
    Auto,
    /// No IPv6 on the card.
    None,
    /// Link-local, and a fixed address.
    Static {
        /// Own address.
        addr: Ipv6Addr,
        /// Bits of the network part.
        prefix: u8,
        /// Default gateway.
        gateway: Option<Ipv6Addr>,
    },
}

impl Ip6 {
    /// Parses `auto`, `none` or `ADDR/N[,gw=X]`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            _ => fixed(text, 128).map(|(addr, prefix, gateway)| Self::Static { addr, prefix, gateway }),
        }
    }
}

/// Parses `ADDR/N[,gw=X]`, with an N of at most `most`.
fn fixed<A: FromStr>(text: &str, most: u8) -> Option<(A, u8, Option<A>)> {
    let (net, gateway) = match text.split_once(',') {
        Some((net, rest)) => (net, Some(rest.strip_prefix("gw=")?.parse().ok()?)),
        None => (text, None),
    };
    let (addr, prefix) = net.split_once('/')?;
    let prefix = u8::try_from(crate::number::decimal(prefix.as_bytes())?).ok()?;
    (prefix <= most).then_some((addr.parse().ok()?, prefix, gateway))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v4() {
        assert_eq!(Ip4::parse("dhcp"), Some(Ip4::Dhcp));
        assert_eq!(
            Ip4::parse("10.0.2.15/24,gw=10.0.2.2"),
            Some(Ip4::Static {
                addr: Ipv4Addr::new(10, 0, 2, 15),
                prefix: 24,
                gateway: Some(Ipv4Addr::new(10, 0, 2, 2))
            })
        );
        assert!(matches!(Ip4::parse("1.2.3.4/32"), Some(Ip4::Static { gateway: None, .. })));
        for bad in ["", "1.2.3.4", "1.2.3.4/33", "1.2.3/8", "1.2.3.4/8,gw=", "1.2.3.4/8,via=1.1.1.1", "::1/64"] {
            assert_eq!(Ip4::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn v6() {
        assert_eq!(Ip6::parse("auto"), Some(Ip6::Auto));
        assert!(matches!(Ip6::parse("fec0::15/64,gw=fec0::2"), Some(Ip6::Static { gateway: Some(_), .. })));
        assert_eq!(Ip6::parse("fec0::15/129"), None);
        assert_eq!(Ip6::parse("10.0.0.1/8"), None);
    }
}
