//! Addresses that a probe may connect to, against a list that is written out and compared as text.

use proptest::prelude::*;
use sentinel_exporter::probe::Allow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// No stranger's, by the registries of special addresses.
const DENIED: [&str; 16] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
const DENIED_V6: [&str; 14] = [
    "::/8",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::ffff:0:0/96",
];
const LISTS: [&[&str]; 9] = [
    &[],
    &["loopback"],
    &["private"],
    &["loopback", "private"],
    &["::ffff:0:0/96", "10.0.0.0/8"],
    &["64:ff9b::/96", "64:ff9b:1::/48"],
    &["2002::/16", "2001::/32", "127.0.0.1"],
    &["0.0.0.0/0"],
    &["0.0.0.0/0", "::/0"],
];

/// An address in zeros and ones.
fn bits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.octets().map(|octet| format!("{octet:08b}")).concat(),
        IpAddr::V6(address) => address.octets().map(|octet| format!("{octet:08b}")).concat(),
    }
}

fn within(address: IpAddr, range: &str) -> bool {
    let (first, length) = range.split_once('/').unwrap_or((range, if range.contains(':') { "128" } else { "32" }));
    let first: IpAddr = first.parse().unwrap();
    first.is_ipv4() == address.is_ipv4() && bits(address).starts_with(&bits(first)[..length.parse().unwrap()])
}

fn listed(list: &[&str], address: IpAddr) -> bool {
    let any = |ranges: &[&str]| ranges.iter().any(|range| within(address, range));
    let metadata = any(&["fd00:ec2::254", "fd20:ce::254"]);
    list.iter().any(|entry| match *entry {
        "loopback" => any(&["127.0.0.0/8", "::1"]),
        "private" => any(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]) && !metadata,
        range => any(&[range]),
    })
}

fn permitted(list: &[&str], address: IpAddr) -> bool {
    let IpAddr::V6(v6) = address else {
        return listed(list, address) || !DENIED.iter().any(|range| within(address, range));
    };
    // Besides the list: whatever nobody has been given yet.
    let public = within(address, "2000::/3") && !DENIED_V6.iter().any(|range| within(address, range));
    let o = v6.octets();
    let four = |a: usize| IpAddr::from([o[a], o[a + 1], o[a + 2], o[a + 3]]);
    let zero = IpAddr::from([0; 4]);
    let inner = if address == IpAddr::from(Ipv6Addr::LOCALHOST) || address == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        vec![]
    } else if ["::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"].iter().any(|range| within(address, range)) {
        vec![four(12)]
    } else if within(address, "64:ff9b:1::/48") {
        let mut both = vec![IpAddr::from([o[6], o[7], o[9], o[10]]), four(12)];
        both.retain(|inner| *inner != zero);
        if both.is_empty() { vec![zero] } else { both }
    } else if within(address, "2001::/32") {
        vec![four(4), IpAddr::from([!o[12], !o[13], !o[14], !o[15]])]
    } else if within(address, "2002::/16") {
        vec![four(2)]
    } else if o[8..12] == [0, 0, 0x5e, 0xfe] || o[8..12] == [2, 0, 0x5e, 0xfe] {
        vec![four(12)]
    } else {
        vec![]
    };
    (listed(list, address) || public) && inner.into_iter().all(|inner| permitted(list, inner))
}

/// In or beside the ranges that mean something: most of all addresses mean nothing.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let bases: Vec<IpAddr> = DENIED
        .iter()
        .chain(&DENIED_V6)
        .chain(&[
            "1.1.1.1",
            "2606:4700::1111",
            "::1",
            "::",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:0:0:0",
            "2001:4860:0:1:0:5efe:0:0",
            "2001:4860:0:1:200:5efe:0:0",
        ])
        .map(|range| range.split('/').next().unwrap().parse().unwrap())
        .collect();
    let near = (proptest::sample::select(bases), any::<u128>(), 0..=128_u32, proptest::option::of(0..128_u32))
        .prop_map(|(base, noise, free, flipped)| {
            let noise = noise & 1_u128.checked_shl(free).unwrap_or(0).wrapping_sub(1);
            let flip = flipped.map_or(0, |bit| 1_u128 << bit);
            match base {
                IpAddr::V4(base) => IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() | noise as u32 ^ flip as u32)),
                IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() | noise ^ flip)),
            }
        });
    // One that stands for an IPv4 address that means something.
    let inner: Vec<Ipv4Addr> = DENIED
        .iter()
        .map(|range| range.split('/').next().unwrap().parse().unwrap())
        .chain([Ipv4Addr::new(1, 1, 1, 1)])
        .collect();
    let outer: Vec<(u128, u32, bool)> = vec![
        (0, 0, false),
        (0xffff_0000_0000, 0, false),
        (0xffff_0000_0000_0000, 0, false),
        (0x0064_ff9b << 96, 0, false),
        (0x0064_ff9b_0001 << 80, 0, false),
        (0x2001_0000_0101_0101 << 64, 0, true),
        (0x2001_0000 << 96 | 0xfefe_fefe, 64, false),
        (0x2002 << 112, 80, false),
        (0x2606_4700_0000_0001_0000_5efe << 32, 0, false),
    ];
    let standing = (proptest::sample::select(outer), proptest::sample::select(inner), 0..256_u32).prop_map(
        |((base, shift, inverted), inner, add)| {
            let inner = inner.to_bits().wrapping_add(add);
            let inner = if inverted { !inner } else { inner };
            IpAddr::V6(Ipv6Addr::from_bits(base | u128::from(inner) << shift))
        },
    );
    let any4 = any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
    let any6 = any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
    prop_oneof![4 => near, 4 => standing, 1 => any4, 1 => any6]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_the_registries_say(address in addresses(), list in proptest::sample::select(LISTS.to_vec())) {
        let allow = Allow::new(list).unwrap();
        prop_assert_eq!(allow.permits(address), permitted(list, address), "{} with {:?}", address, list);
    }

    #[test]
    fn a_range_is_its_addresses(base in any::<u128>(), free in 0..=128_u32, other in any::<u128>(), flip in 0..128_u32) {
        let first = base.checked_shr(free).unwrap_or(0).checked_shl(free).unwrap_or(0);
        let text = format!("{}/{}", Ipv6Addr::from_bits(first), 128 - free);
        let allow = Allow::new(["0.0.0.0/0".to_owned(), text.clone()]).unwrap();
        for bits in [first, first ^ 1 << flip, first | other & 1_u128.checked_shl(free).unwrap_or(0).wrapping_sub(1)] {
            let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
            let expected = permitted(&["0.0.0.0/0", &text], address);
            prop_assert_eq!(allow.permits(address), expected, "{} in {}", address, text);
        }
        let odd = Allow::new([format!("{}/{}", Ipv6Addr::from_bits(base), 128 - free)]);
        prop_assert_eq!(odd.is_ok(), base == first);
    }
}

/// To nobody who is not told otherwise.
const CLOSED: &str = "\
    0.0.0.0 0.255.255.255 10.0.0.1 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.255 \
    168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 \
    192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 \
    255.255.255.255 :: ::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 febf::1 fec0::1 feff::1 ff02::1 2001:db8::1 \
    3fff::1 100::1 ::ffff:127.0.0.1 ::ffff:1.1.1.1 ::127.0.0.1 ::1.1.1.1 ::ffff:0:127.0.0.1 64:ff9b::1.1.1.1 \
    64:ff9b::127.0.0.1 64:ff9b:1::1.1.1.1 2002:7f00:1:: 2002:101:101::1 2001::1 2001:0:7f00:1:: 2001:10::1 \
    2606:4700::5efe:127.0.0.1 2606:4700::200:5efe:a9fe:a9fe 5f00::1 4000::1";
/// To anybody: most of them lie beside what is closed.
const OPEN: &str = "\
    1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15 \
    169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 \
    198.20.0.0 223.255.255.255 2606:4700::1111 2001:4860::8888 2001:200::1 2003::1 2606:4700::5efe:1.1.1.1";
/// To nobody by a word.
const NEVER: &str = "\
    169.254.169.254 fe80::1 fd00:ec2::254 fd20:ce::254 0.0.0.0 100.64.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 \
    64:ff9b::10.0.0.1 192.0.0.192";

fn all(text: &str) -> impl Iterator<Item = IpAddr> {
    text.split_whitespace().map(|address| address.parse().unwrap())
}

#[test]
fn by_hand() {
    let none = Allow::default();
    assert!(all(CLOSED).count() > 50 && all(OPEN).count() > 20);
    for address in all(CLOSED) {
        assert!(!none.permits(address), "{address}");
    }
    for address in all(OPEN) {
        assert!(none.permits(address), "{address}");
    }
    let both = Allow::new(["loopback", "private"]).unwrap();
    for address in all(NEVER) {
        assert!(!both.permits(address), "{address}");
    }
    let written = Allow::new(["169.254.169.254", "fd00:ec2::254", "::ffff:0:0/96"]).unwrap();
    for address in all("169.254.169.254 fd00:ec2::254 ::ffff:169.254.169.254 ::ffff:1.1.1.1") {
        assert!(written.permits(address), "{address}");
    }
    for address in all("169.254.169.253 fd00:ec2::253 ::ffff:169.254.169.253 ::ffff:127.0.0.1") {
        assert!(!written.permits(address), "{address}");
    }
}

#[test]
fn what_is_no_range_is_named() {
    for wrong in [
        "",
        "Loopback",
        "metadata",
        "localhost",
        "link-local",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.1/8",
        "10.0.0.0/8/8",
        "::1/129",
        "fe80::1%eth0",
        "10.0.0",
        "0177.0.0.1",
        " 10.0.0.0/8",
        "::/0 ",
        "10.0.0.0/1000",
        "1/0",
        "0.0.0.1/0",
    ] {
        let error = Allow::new(["::1", wrong]).unwrap_err();
        assert_eq!((error.field.as_str(), error.value), ("allow[1]", format!("{wrong:?}")));
    }
    assert!(Allow::new([".".repeat(10_000)]).unwrap_err().value.len() < 100);
    assert!(Allow::new(vec!["::1"; 256]).is_ok());
    assert_eq!(Allow::new(vec!["::1"; 257]).unwrap_err().field, "allow");
    for wrong in [r#""loopback""#, r"[1]", r#"["x"]"#, r"{}"] {
        assert!(serde_json::from_str::<Allow>(wrong).is_err(), "{wrong}");
    }
    assert_eq!(serde_json::from_str::<Allow>("[]").unwrap(), Allow::default());
}
