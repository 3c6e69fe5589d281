//! At which addresses browsers reach the media port: given as `PEER_HOST`, or those of this machine.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, Environment};

/// What is announced, and what a person should know about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reach {
    pub addresses: Vec<SocketAddr>,
    pub warnings: Vec<String>,
}

/// One of `PEER_HOST`: an address or a name, and the port when it is not `PEER_PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHost {
    name: String,
    port: Option<u16>,
}

impl PeerHost {
    /// `10.0.0.1`, `fd00::1`, `live.example`, and with a port `10.0.0.1:443`, `[fd00::1]:443`, `live.example:443`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| url::Host::parse(name).is_ok();
        if text.parse::<IpAddr>().is_ok() || is_name(text) {
            return Some(Self { name: text.to_owned(), port: None });
        }
        let (name, port) = match text.parse::<SocketAddr>() {
            Ok(address) => (address.ip().to_string(), address.port()),
            Err(_) => text.rsplit_once(':').and_then(|(name, port)| Some((name.to_owned(), port.parse().ok()?)))?,
        };
        let fits = port != 0 && (name.parse::<IpAddr>().is_ok() || is_name(&name));
        fits.then_some(Self { name, port: Some(port) })
    }
}

/// Most addresses in one answer: each makes every join's SDP longer.
const MOST: usize = 8;

/// # Errors
/// A text that says what to set when there is nothing to announce.
pub async fn find(config: &Config) -> Result<Reach, String> {
    let mut warnings = Vec::new();
    let mut found = Vec::new();
    for PeerHost { name, port } in &config.peer_hosts {
        match tokio::net::lookup_host((name.as_str(), port.unwrap_or(config.peer_port))).await {
            Ok(addresses) => found.extend(addresses),
            Err(error) => warnings.push(format!("PEER_HOST {name} cannot be resolved: {error}")),
        }
    }
    if config.peer_hosts.is_empty() {
        found = if_addrs::get_if_addrs()
            .map_err(|error| format!("the addresses of this machine cannot be read ({error}): set PEER_HOST"))?
            .into_iter()
            .filter(|interface| interface.is_oper_up())
            .map(|interface| SocketAddr::new(interface.ip(), config.peer_port))
            .collect();
    }
    let is_dev = config.environment == Environment::Dev;
    let given = (!config.peer_hosts.is_empty()).then_some(config.peer_port);
    let addresses = choose(found, given, is_dev);
    if addresses.is_empty() {
        return Err("no address at which browsers could reach the media port: set PEER_HOST".to_owned());
    }
    if !is_dev && addresses.iter().all(|address| !is_public(address.ip())) {
        warnings.push(
            "only private addresses are announced, so nobody outside this network can watch: set PEER_HOST to the public one"
                .to_owned(),
        );
    }
    Ok(Reach { addresses, warnings })
}

/// Given addresses are taken as they are, and in dev loopback with the bound port `given` besides; of the machine's own, loopback only in dev
/// and link-local never.
fn choose(found: Vec<SocketAddr>, given: Option<u16>, is_dev: bool) -> Vec<SocketAddr> {
    let mut chosen: Vec<SocketAddr> = Vec::new();
    for at in found {
        let address = signaling::address::plain(at.ip());
        let at = SocketAddr::new(address, at.port());
        let fits = given.is_some() || if address.is_loopback() { is_dev } else { !is_link_local(address) };
        if fits && !address.is_unspecified() && !chosen.contains(&at) {
            chosen.push(at);
        }
    }
    match given {
        // Addresses that reach furthest first; stable otherwise.
        None => chosen.sort_by_key(|at| (!is_public(at.ip()), at.ip().is_loopback(), at.is_ipv6())),
        Some(port) if is_dev && !chosen.iter().any(|at| at.ip().is_loopback()) => {
            chosen.push(SocketAddr::from(([127, 0, 0, 1], port)));
        }
        Some(_) => {}
    }
    chosen.truncate(MOST);
    chosen
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation() || shared)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let at = |text: &&str| text.parse().unwrap_or_else(|_| SocketAddr::new(text.parse().unwrap(), 8189));
        texts.iter().map(at).collect()
    }

    #[test]
    fn own_addresses_are_sorted_and_loopback_is_for_dev() {
        let own = &["127.0.0.1", "::1", "192.168.1.5", "fe80::1", "169.254.3.3", "8.8.4.4", "192.168.1.5"];
        assert_eq!(choose(addresses(own), None, false), addresses(&["8.8.4.4", "192.168.1.5"]));
        assert_eq!(choose(addresses(own), None, true), addresses(&["8.8.4.4", "192.168.1.5", "127.0.0.1", "::1"]));
    }

    #[test]
    fn given_addresses_are_taken_as_they_are() {
        let given = |texts: &[&str], is_dev| choose(addresses(texts), Some(8189), is_dev);
        assert_eq!(given(&["10.0.0.1", "::ffff:10.0.0.1"], false), addresses(&["10.0.0.1"]));
        assert_eq!(given(&["203.0.113.7"], true), addresses(&["203.0.113.7", "127.0.0.1"]));
        assert_eq!(given(&["203.0.113.7:443"], true), addresses(&["203.0.113.7:443", "127.0.0.1"]));
        assert_eq!(given(&["127.0.0.1:9999"], true), addresses(&["127.0.0.1:9999"]));
        assert!(given(&["0.0.0.0"], false).is_empty());
    }

    #[test]
    fn a_host_may_name_its_port() {
        for (text, name, port) in [
            ("10.0.0.1", "10.0.0.1", None),
            ("fd00::1", "fd00::1", None),
            ("live.example", "live.example", None),
            ("10.0.0.1:443", "10.0.0.1", Some(443)),
            ("[fd00::1]:443", "fd00::1", Some(443)),
            ("live.example:443", "live.example", Some(443)),
        ] {
            assert_eq!(PeerHost::parse(text), Some(PeerHost { name: name.into(), port }), "{text}");
        }
        for text in ["a b", "live.example:", "live.example:x", "10.0.0.1:0", "10.0.0.1:65536", ":443"] {
            assert_eq!(PeerHost::parse(text), None, "{text}");
        }
    }

    #[test]
    fn private_and_shared_addresses_are_not_public() {
        for (address, public) in
            [("8.8.4.4", true), ("10.1.1.1", false), ("100.64.0.1", false), ("2001:4860::1", true), ("fd00::1", false)]
        {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
