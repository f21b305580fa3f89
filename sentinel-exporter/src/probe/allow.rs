//! The allow-list of the guard: ranges of addresses that are not public and may be probed all the same.

use sentinel_core::ConfigError;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::net::IpAddr;

/// Ranges of an allow-list.
const MAX_RANGES: usize = 256;
const ALLOWED: &str =
    r#""loopback", "private", an address or a range as 10.0.0.0/8, in which bits after the prefix are 0"#;

/// Addresses that are not public and that a probe may go to all the same. By default none.
///
/// - `"loopback"`: `127.0.0.0/8` and `::1`;
/// - `"private"`: `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` and `fc00::/7`, without the addresses at which clouds serve metadata;
/// - an address, or a range as `"10.0.0.0/8"`.
///
/// Link-local addresses and those of metadata services have no word: the list names them by address or range. An IPv6 address that stands for an IPv4
/// address (mapped, NAT64, 6to4, Teredo) is probed only if its own range is in the list and the IPv4 address may be probed as well.
///
/// ```
/// use sentinel_exporter::probe::Allow;
///
/// let allow = Allow::new(["loopback", "10.1.0.0/16"])?;
/// for (address, permitted) in [("127.0.0.1", true), ("10.1.2.3", true), ("10.2.0.1", false), ("169.254.169.254", false), ("1.1.1.1", true)] {
///     assert_eq!(allow.permits(address.parse().unwrap()), permitted, "{address}");
/// }
/// let error = serde_json::from_str::<Allow>(r#"["10.0.0.1/8"]"#).unwrap_err();
/// assert!(error.to_string().contains("allow[0]"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow(Vec<Range>);

impl Allow {
    /// Reads words, addresses and ranges, at most 256.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the entry, as `allow[2]`.
    ///
    /// ```
    /// use sentinel_exporter::probe::Allow;
    ///
    /// assert!(Allow::new(["private", "::1", "fe80::/10"]).is_ok());
    /// assert_eq!(Allow::new(["::1", "metadata"]).unwrap_err().field, "allow[1]");
    /// ```
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, ConfigError> {
        let mut ranges = Vec::new();
        for (at, text) in texts.into_iter().enumerate() {
            if at == MAX_RANGES {
                return Err(ConfigError::plain(
                    "allow",
                    format!("more than {MAX_RANGES}"),
                    format!("at most {MAX_RANGES}"),
                ));
            }
            let text = text.as_ref();
            let found = parse(text).ok_or_else(|| {
                let shown: String = text.chars().take(64).collect();
                ConfigError::new(&format!("allow[{at}]"), format!("{shown:?}"), ALLOWED)
            })?;
            ranges.extend(found);
        }
        Ok(Self(ranges))
    }

    /// Whether a range of the list has this address. [`permits`](Self::permits) asks more.
    pub(super) fn lists(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }
}

impl<'de> Deserialize<'de> for Allow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::<String>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn parse(text: &str) -> Option<Vec<Range>> {
    match text {
        "loopback" => {
            Some(vec![Range::v4(0x7f00_0000, 8), Range::new(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 128)?])
        }
        "private" => Some(vec![
            Range::v4(0x0a00_0000, 8),
            Range::v4(0xac10_0000, 12),
            Range::v4(0xc0a8_0000, 16),
            Range { but_metadata: true, ..Range::v6(0xfc00 << 112, 7) },
        ]),
        _ => {
            let range = match text.split_once('/') {
                None => {
                    let address: IpAddr = text.parse().ok()?;
                    Range::new(address, if address.is_ipv4() { 32 } else { 128 })
                }
                Some((address, bits)) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    Range::new(address.parse().ok()?, bits.parse().ok()?)
                }
                Some(_) => None,
            };
            range.map(|range| vec![range])
        }
    }
}

/// The addresses that begin with these bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// First address; an IPv4 address is the lowest 32 bits.
    first: u128,
    v6: bool,
    /// Number of low bits that may differ: 0 to 32 of an IPv4 address, 0 to 128 of an IPv6 address.
    free: u32,
    but_metadata: bool,
}

impl Range {
    pub(super) const fn v4(first: u32, bits: u32) -> Self {
        Self { first: first as u128, v6: false, free: 32 - bits, but_metadata: false }
    }

    pub(super) const fn v6(first: u128, bits: u32) -> Self {
        Self { first, v6: true, free: 128 - bits, but_metadata: false }
    }

    /// `None` if the prefix is too long, or if bits after it are set: the text then means another range than it says.
    fn new(address: IpAddr, bits: u32) -> Option<Self> {
        let (first, width) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let free = u32::checked_sub(width, bits)?;
        let range = Self { first, v6: address.is_ipv6(), free, but_metadata: false };
        (prefix(first, free).checked_shl(free).unwrap_or(0) == first).then_some(range)
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        self.v6 == address.is_ipv6()
            && prefix(bits, self.free) == prefix(self.first, self.free)
            && !(self.but_metadata && super::guard::is_metadata(address))
    }
}

fn prefix(bits: u128, free: u32) -> u128 {
    bits.checked_shr(free).unwrap_or(0)
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.v6 {
            write!(f, "{}/{}", std::net::Ipv6Addr::from_bits(self.first), 128 - self.free)
        } else {
            write!(f, "{}/{}", std::net::Ipv4Addr::from_bits(self.first as u32), 32 - self.free)
        }
    }
}
