//! The guard against server-side request forgery (SSRF): a probe goes to public addresses, and to those in the allow-list.
//!
//! Anybody may write a check's host, and a redirect's. So the guard judges the address that is dialled, however the host
//! was spelled.

use super::allow::{Allow, Range};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are not public: each is denied.
const DENIED_V4: [Range; 16] = [
    Range::v4(0x0000_0000, 8),  // this network, and the unspecified address, which is this host
    Range::v4(0x0a00_0000, 8),  // private
    Range::v4(0x6440_0000, 10), // shared by the customers of a carrier; metadata at one cloud
    Range::v4(0x7f00_0000, 8),  // loopback
    Range::v4(0xa83f_8110, 32), // 168.63.129.16: a public address by which one cloud's host talks to its guests
    Range::v4(0xa9fe_0000, 16), // link-local, with the metadata service of most clouds
    Range::v4(0xac10_0000, 12), // private
    Range::v4(0xc000_0000, 24), // protocols; metadata at one cloud
    Range::v4(0xc000_0200, 24), // documentation
    Range::v4(0xc058_6300, 24), // relays of 6to4
    Range::v4(0xc0a8_0000, 16), // private
    Range::v4(0xc612_0000, 15), // benchmarks
    Range::v4(0xc633_6400, 24), // documentation
    Range::v4(0xcb00_7100, 24), // documentation
    Range::v4(0xe000_0000, 4),  // multicast
    Range::v4(0xf000_0000, 4),  // reserved, and broadcast
];

/// The range of all public IPv6 addresses …
const GLOBAL_V6: Range = Range::v6(0x2000 << 112, 3);
/// … except these, which are denied.
const DENIED_V6: [Range; 4] = [
    Range::v6(0x2001 << 112, 23),     // protocols: Teredo, benchmarks, ORCHID
    Range::v6(0x2001_0db8 << 96, 32), // documentation
    Range::v6(0x2002 << 112, 16),     // 6to4
    Range::v6(0x3fff << 112, 20),     // documentation
];

/// Metadata services at private addresses: the word `"private"` does not allow them.
const METADATA: [u128; 2] = [0xfd00_0ec2_0000_0000_0000_0000_0000_0254, 0xfd20_00ce_0000_0000_0000_0000_0000_0254];

const MAPPED: Range = Range::v6(0xffff_0000_0000, 96);
const COMPATIBLE: Range = Range::v6(0, 96);
const TRANSLATED: Range = Range::v6(0x0000_ffff_0000_0000_0000, 96);
const NAT64: Range = Range::v6(0x0064_ff9b << 96, 96);
const NAT64_LOCAL: Range = Range::v6(0x0064_ff9b_0001 << 80, 48);
const TEREDO: Range = Range::v6(0x2001_0000 << 96, 32);
const SIX_TO_FOUR: Range = Range::v6(0x2002 << 112, 16);

impl Allow {
    /// Whether a probe may go there: the address is public or in the list, and so is each IPv4 address that it stands for.
    ///
    /// ```
    /// use sentinel_exporter::probe::Allow;
    ///
    /// let permits = |list: &[&str], address: &str| Allow::new(list).unwrap().permits(address.parse().unwrap());
    /// assert!(permits(&[], "2606:4700::1111") && !permits(&[], "::1"));
    /// assert!(!permits(&["64:ff9b::/96"], "64:ff9b::10.0.0.1") && permits(&["64:ff9b::/96"], "64:ff9b::1.1.1.1"));
    /// ```
    pub fn permits(&self, address: IpAddr) -> bool {
        let itself = self.lists(address) || is_public(address);
        itself
            && match address {
                IpAddr::V4(_) => true,
                IpAddr::V6(address) => embedded(address).into_iter().flatten().all(|inner| self.permits(inner.into())),
            }
    }
}

fn is_public(address: IpAddr) -> bool {
    let within = |range: &Range| range.contains(address);
    match address {
        IpAddr::V4(_) => !DENIED_V4.iter().any(within),
        IpAddr::V6(_) => within(&GLOBAL_V6) && !DENIED_V6.iter().any(within),
    }
}

pub(super) fn is_metadata(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if METADATA.contains(&address.to_bits()))
}

/// IPv4 addresses that a gateway may translate an IPv6 address to.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let bits = address.to_bits();
    let at = |shift: u32| Some(Ipv4Addr::from_bits((bits >> shift) as u32));
    let within = |range: &Range| range.contains(address.into());
    if address.is_loopback() || address.is_unspecified() {
        return [None, None];
    }
    if [MAPPED, COMPATIBLE, TRANSLATED, NAT64].iter().any(within) {
        return [at(0), None];
    }
    if within(&NAT64_LOCAL) {
        // The prefix may be longer than the range, and nobody knows how long: by RFC 6052 the address then stands around
        // bit 64 or at the end. An address of 0 is not in use.
        let around = ((bits >> 64) as u32) << 16 | u32::from((bits >> 40) as u16);
        let around = (around != 0).then(|| Ipv4Addr::from_bits(around));
        return [around, at(0).filter(|end| around.is_none() || end.to_bits() != 0)];
    }
    if within(&TEREDO) {
        return [at(64), Some(Ipv4Addr::from_bits(!(bits as u32)))];
    }
    if within(&SIX_TO_FOUR) {
        return [at(80), None];
    }
    // ISATAP, within any prefix.
    [at(0).filter(|_| (bits >> 32) as u32 & !0x0200_0000 == 0x0000_5efe), None]
}
