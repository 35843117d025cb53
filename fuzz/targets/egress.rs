//! Egress: any URL, any grants, any answer of the resolver.
//!
//! An input is a grant on each line that begins with `+`, addresses that names resolve to on lines that begins with `=`, and the
//! URL on the last. Nothing is connected to. The oracle knows the forbidden addresses by other means than the host, which holds a
//! table of networks: by what the standard library says of an address, and by the numbers that it does not know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use http::Request;
use kennel::egress::{Egress, EgressError};
use kennel::grants::Origin;
use url::{Host, Url};

use crate::harness::{Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "egress",
    ending: "txt",
    inputs: 4_000,
    seeds,
    words: include_str!("../words/egress.txt"),
    make,
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    let inputs = [
        "+https://a.example\n=10.0.0.1\n=93.184.216.34\nhttps://a.example/path?q",
        "+http://localhost:8080\n=127.0.0.1\n=::1\nhttp://localhost:8080/",
        "+http://127.0.0.1:9000\nhttp://2130706433:9000/x",
        "+http://[::1]\n+http://10.0.0.7\nhttp://[::1]:80/",
        "+http://a.example\n=169.254.169.254\n=fd00:ec2::254\nhttp://a.example/latest/meta-data",
    ];
    inputs.map(|input| input.as_bytes().to_vec()).into()
}

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    if maker.chance(50) {
        return maker.mutated();
    }
    let hosts = [
        "a.example",
        "localhost",
        "x.localhost",
        "127.0.0.1",
        "[::1]",
        "10.0.0.7",
        "[fd00::1]",
    ];
    let mut grants: Vec<String> = Vec::new();
    for _ in 0..=maker.below(2) {
        let port = maker.one_of(&["", ":80", ":443", ":8080"]);
        grants.push(format!(
            "{}{}{port}",
            maker.one_of(&["http://", "https://"]),
            maker.one_of(&hosts)
        ));
    }
    let mut lines: Vec<String> = grants.iter().map(|grant| format!("+{grant}")).collect();
    for _ in 0..maker.below(6) {
        lines.push(format!("={}", address(maker)));
    }
    let url = match maker.chance(60) {
        true => format!(
            "{}{}",
            maker.one_of(&grants.iter().map(String::as_str).collect::<Vec<_>>()),
            maker.one_of(&["", "/", "/p?q"])
        ),
        false => format!(
            "{}{}{}{}",
            maker.word(),
            maker.word(),
            maker.word(),
            maker.word()
        )
        .replace('\n', ""),
    };
    lines.push(url);
    lines.join("\n").into_bytes()
}

/// An address, most often one at the edge of some network.
fn address(maker: &mut Maker<'_>) -> IpAddr {
    let edges = [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.0",
        "192.88.99.0",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.0",
        "203.0.113.255",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "8.8.8.8",
        "::",
        "::1",
        "::ffff:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
        "100::",
        "2001::",
        "2001:db8::",
        "2002::",
        "3fff::",
        "5f00::",
        "fc00::",
        "fdff:ffff::",
        "fe80::",
        "fec0::",
        "ff00::",
        "2606:4700::1111",
    ];
    let near = |number: u128, maker: &mut Maker<'_>| match maker.below(4) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => number ^ (1 << maker.below(128)),
        _ => number,
    };
    match maker.one_of(&edges).parse().expect("an address") {
        IpAddr::V4(v4) if maker.chance(20) => v4.to_ipv6_mapped().into(),
        IpAddr::V4(v4) => Ipv4Addr::from_bits(near(v4.to_bits().into(), maker) as u32).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(near(v6.to_bits(), maker)).into(),
    }
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (mut granted, mut found, mut url) = (Vec::new(), Vec::new(), "");
    for line in text.split('\n') {
        match (line.strip_prefix('+'), line.strip_prefix('=')) {
            (Some(origin), _) => granted.extend(origin.parse::<Origin>()),
            (_, Some(address)) => found.extend(address.parse::<IpAddr>()),
            _ => url = line,
        }
    }
    for origin in &granted {
        let printed = origin.to_string();
        assert_eq!(
            printed.parse().as_ref(),
            Ok(origin),
            "an origin has one spelling"
        );
    }
    let Ok(request) = Request::get(url).body(()) else {
        return "no URL".to_owned();
    };
    match reach(&granted, &request, &found) {
        Err(error) => {
            let blocked = matches!(error, EgressError::Prohibited(_));
            assert!(
                !blocked || found.iter().all(|address| forbidden(*address)),
                "a public address is refused: {error}"
            );
            let told = error.to_string();
            told.split('`')
                .step_by(2)
                .collect::<Vec<_>>()
                .join("`")
                .chars()
                .take(60)
                .collect()
        }
        Ok(addresses) => {
            assert!(
                !addresses.is_empty() && addresses.len() <= 4,
                "{addresses:?}"
            );
            let grant = grant_of(&granted, url).unwrap_or_else(|| panic!("`{url}` is not granted"));
            for address in &addresses {
                allowed(&grant, *address, &found);
            }
            format!(
                "{} addresses, https {}",
                addresses.len(),
                grant.scheme() == "https"
            )
        }
    }
}

fn reach(
    granted: &[Origin],
    request: &Request<()>,
    found: &[IpAddr],
) -> Result<Vec<SocketAddr>, EgressError> {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        let builder = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build();
        builder.expect("a runtime")
    });
    let found = found.to_vec();
    let resolve = move |_: String, port: u16| {
        // The port of a resolver's answer means nothing.
        let found = found
            .iter()
            .map(|ip| SocketAddr::new(*ip, port ^ 1))
            .collect();
        Box::pin(std::future::ready(Ok(found))) as _
    };
    RUNTIME.block_on(Egress::with_resolver(Arc::new(resolve)).would_reach(granted, request))
}

/// The grant that allows `url`: the same scheme, host and port.
fn grant_of(granted: &[Origin], url: &str) -> Option<Url> {
    let asked = Url::parse(url).expect("what is sent is a URL");
    assert!(
        asked.username().is_empty() && asked.password().is_none(),
        "a user name is sent to {url}"
    );
    let same = |grant: &Url| {
        grant.scheme() == asked.scheme()
            && grant.port_or_known_default() == asked.port_or_known_default()
            && bare(grant.host()) == bare(asked.host())
    };
    let mut grants = granted
        .iter()
        .map(|origin| Url::parse(&origin.to_string()).expect("an origin is a URL"));
    grants.find(same)
}

/// A host without the dot at its end, and mapped addresses as what they are.
fn bare(host: Option<Host<&str>>) -> Option<String> {
    Some(match host? {
        Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => IpAddr::V6(address).to_canonical().to_string(),
    })
}

fn allowed(grant: &Url, address: SocketAddr, found: &[IpAddr]) {
    assert_eq!(
        Some(address.port()),
        grant.port_or_known_default(),
        "another port than the granted one"
    );
    let ip = address.ip();
    match grant.host().expect("an origin has a host") {
        Host::Ipv4(granted) => assert_eq!(ip, granted),
        Host::Ipv6(granted) => assert_eq!(ip, granted),
        Host::Domain(name) => {
            assert!(found.contains(&ip), "{ip} is no answer of the resolver");
            let local = name == "localhost" || name.ends_with(".localhost");
            let loopback = local && ip.to_canonical().is_loopback();
            assert!(loopback || !forbidden(ip), "`{name}` leads to {ip}");
        }
    }
}

/// Whether a name may not lead to `address`.
fn forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(v4: Ipv4Addr) -> bool {
    let n = v4.to_bits();
    let within = |from: u32, to: u32| (from..=to).contains(&n);
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        || v4.is_multicast()
        || v4.is_broadcast()
        || n < 0x0100_0000
        || within(0x6440_0000, 0x647f_ffff)
        || within(0xc000_0000, 0xc000_00ff)
        || within(0xc058_6300, 0xc058_63ff)
        || within(0xc612_0000, 0xc613_ffff)
        || n >= 0xf000_0000
}

fn forbidden_v6(v6: Ipv6Addr) -> bool {
    let s = v6.segments();
    v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_multicast()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
        || s[0] <= 0xff
        || s[..4] == [0x100, 0, 0, 0]
        || (s[0] == 0x2001 && (s[1] < 0x200 || s[1] == 0xdb8))
        || s[0] == 0x2002
        || (s[0] == 0x3fff && s[1] < 0x1000)
        || s[0] == 0x5f00
        || (0xfec0..=0xfeff).contains(&s[0])
}

#[test]
fn the_oracle_knows_an_address_of_each_kind() {
    for address in [
        "10.1.2.3",
        "100.64.0.1",
        "0.1.1.1",
        "192.0.0.8",
        "198.19.0.1",
        "250.0.0.1",
        "::1",
        "64:ff9b::1",
        "2001::1",
        "fec0::1",
    ] {
        assert!(forbidden(address.parse().expect("an address")), "{address}");
    }
    for address in [
        "8.8.8.8",
        "100.63.255.255",
        "2606:4700::1111",
        "2001:200::1",
        "::ffff:8.8.8.8",
    ] {
        assert!(
            !forbidden(address.parse().expect("an address")),
            "{address}"
        );
    }
}
