//! At which addresses browsers reach the media port: given as `PEER_HOST`, or those of this machine.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, Environment};

/// What is announced, and what a person should know about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reach {
    pub addresses: Vec<SocketAddr>,
    pub warnings: Vec<String>,
}

/// Most addresses in one answer: each makes every join's SDP longer.
const MOST: usize = 8;

/// # Errors
/// A text that says what to set when there is nothing to announce.
pub async fn find(config: &Config) -> Result<Reach, String> {
    let mut warnings = Vec::new();
    let mut found = Vec::new();
    for host in &config.peer_hosts {
        match tokio::net::lookup_host((host.as_str(), config.peer_port)).await {
            Ok(addresses) => found.extend(addresses.map(|address| address.ip())),
            Err(error) => warnings.push(format!("PEER_HOST {host} cannot be resolved: {error}")),
        }
    }
    if config.peer_hosts.is_empty() {
        found = if_addrs::get_if_addrs()
            .map_err(|error| format!("the addresses of this machine cannot be read ({error}): set PEER_HOST"))?
            .into_iter()
            .filter(|interface| interface.is_oper_up())
            .map(|interface| interface.ip())
            .collect();
    }
    let is_dev = config.environment == Environment::Dev;
    let chosen = choose(found, !config.peer_hosts.is_empty(), is_dev);
    if chosen.is_empty() {
        return Err("no address at which browsers could reach the media port: set PEER_HOST".to_owned());
    }
    if !is_dev && chosen.iter().all(|address| !is_public(*address)) {
        warnings.push(
            "only private addresses are announced, so nobody outside this network can watch: set PEER_HOST to the public one"
                .to_owned(),
        );
    }
    let addresses = chosen.into_iter().map(|address| SocketAddr::new(address, config.peer_port)).collect();
    Ok(Reach { addresses, warnings })
}

/// Given addresses are taken as they are; of the machine's own, loopback only in dev and link-local never.
fn choose(found: Vec<IpAddr>, given: bool, is_dev: bool) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    for address in found.into_iter().map(signaling::address::plain) {
        let fits = given || if address.is_loopback() { is_dev } else { !is_link_local(address) };
        if fits && !address.is_unspecified() && !chosen.contains(&address) {
            chosen.push(address);
        }
    }
    if !given {
        // Addresses that reach furthest first; stable otherwise.
        chosen.sort_by_key(|address| (!is_public(*address), address.is_loopback(), address.is_ipv6()));
    } else if is_dev && !chosen.iter().any(IpAddr::is_loopback) {
        chosen.push(IpAddr::from([127, 0, 0, 1]));
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

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn own_addresses_are_sorted_and_loopback_is_for_dev() {
        let own = &["127.0.0.1", "::1", "192.168.1.5", "fe80::1", "169.254.3.3", "8.8.4.4", "192.168.1.5"];
        assert_eq!(choose(addresses(own), false, false), addresses(&["8.8.4.4", "192.168.1.5"]));
        assert_eq!(choose(addresses(own), false, true), addresses(&["8.8.4.4", "192.168.1.5", "127.0.0.1", "::1"]));
    }

    #[test]
    fn given_addresses_are_taken_as_they_are() {
        assert_eq!(choose(addresses(&["10.0.0.1", "::ffff:10.0.0.1"]), true, false), addresses(&["10.0.0.1"]));
        assert_eq!(choose(addresses(&["203.0.113.7"]), true, true), addresses(&["203.0.113.7", "127.0.0.1"]));
        assert!(choose(addresses(&["0.0.0.0"]), true, false).is_empty());
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
