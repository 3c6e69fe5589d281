//! Which server is measured: one of our own, or any that speaks WHIP and WHEP.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method, RequestBuilder, Url};

use crate::server::{KEY, Server};
use crate::whip::{self, Accepted};

/// Stands for a channel's name in an address.
const CHANNEL: &str = "{channel}";
/// Servers bound what one address may ask for (Oxbow: 500 joins at once, then 100 a second), so every client of a crowd has its own address.
/// All of 127.0.0.0/8 is this machine, and on loopback the crowd asks from this many of its addresses; elsewhere from the one it has.
const ADDRESSES: u8 = 128;
/// Joins from one address before the next one's turn.
const JOINS_PER_ADDRESS: usize = 100;
/// An HTTP connection without a request is closed after this long, as it would otherwise count as the server's memory and descriptors.
const IDLE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Measure a running server instead of starting one: its WHIP address (needs --whep-url and --pid). "{channel}" in it becomes the
    /// channel's name in cases with several.
    #[arg(long, requires_all = ["whep_url", "pid"])]
    pub whip_url: Option<String>,
    /// Its WHEP address.
    #[arg(long, requires_all = ["whip_url", "pid"])]
    pub whep_url: Option<String>,
    /// Bearer token of the WHIP request.
    #[arg(long)]
    pub key: Option<String>,
    /// Process id of the running server, which is charged for its time and memory.
    #[arg(long)]
    pub pid: Option<u32>,
}

/// A server and the clients that ask it.
pub struct Target {
    whip: String,
    whep: String,
    key: Option<String>,
    pid: u32,
    callers: Vec<Client>,
    /// Kept for its end.
    server: Option<Server>,
}

impl Target {
    /// # Errors
    /// When our own server does not start.
    pub async fn open(options: &Options) -> Result<Target> {
        if let (Some(whip), Some(whep), Some(pid)) = (&options.whip_url, &options.whep_url, options.pid) {
            let callers = callers(&address(whep, "main")?)?;
            return Ok(Target {
                whip: whip.clone(),
                whep: whep.clone(),
                key: options.key.clone(),
                pid,
                callers,
                server: None,
            });
        }
        Self::open_with(&[]).await
    }

    /// A server of our own with these settings besides its usual ones: names and values of its environment.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn open_with(settings: &[(&str, &str)]) -> Result<Target> {
        let server = Server::start(&Client::new(), settings).await.context("starting an Oxbow server")?;
        let root = server.url("");
        Ok(Target {
            whip: format!("{root}whip/{CHANNEL}"),
            whep: format!("{root}whep/{CHANNEL}"),
            key: Some(KEY.to_owned()),
            pid: server.pid(),
            callers: callers(&root)?,
            server: Some(server),
        })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether channels have names of their own.
    pub fn has_channels(&self) -> bool {
        self.whip.contains(CHANNEL) && self.whep.contains(CHANNEL)
    }

    /// # Errors
    /// As [`whip::post`].
    pub async fn publish(&self, channel: &str, offer: String) -> Result<Accepted> {
        Ok(whip::post(&self.callers[0], &address(&self.whip, channel)?, self.key.as_deref(), offer).await?)
    }

    /// The `number`-th join of this run.
    ///
    /// # Errors
    /// As [`whip::post`].
    pub async fn watch(&self, channel: &str, number: usize, offer: String) -> Result<Accepted> {
        Ok(whip::post(self.caller(number), &address(&self.whep, channel)?, None, offer).await?)
    }

    /// Ends the `number`-th join by its address.
    ///
    /// # Errors
    /// When the server is not there.
    pub async fn leave(&self, number: usize, resource: &Url) -> Result<()> {
        Ok(whip::delete(self.caller(number), resource, None).await?)
    }

    /// A request to an address below the root of our own server, with its key.
    ///
    /// # Errors
    /// When the server is not ours.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let server = self.server.as_ref().context("only a server of our own is asked for this")?;
        Ok(self.callers[0].request(method, server.url(path)).bearer_auth(KEY))
    }

    /// The sum of a figure of our own server's /metrics over its labels; `None` elsewhere.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let Some(server) = &self.server else { return Ok(None) };
        let text = self.callers[0].get(server.url("metrics")).send().await?.error_for_status()?.text().await?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            (rest.starts_with([' ', '{'])).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        Ok(Some(values.sum()))
    }

    fn caller(&self, number: usize) -> &Client {
        &self.callers[number / JOINS_PER_ADDRESS % self.callers.len()]
    }
}

fn address(template: &str, channel: &str) -> Result<Url> {
    template.replace(CHANNEL, channel).parse().with_context(|| format!("'{template}' is no address"))
}

fn callers(server: &Url) -> Result<Vec<Client>> {
    let Some(host) = server.host_str() else { bail!("{server} names no host") };
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() && ip.is_ipv4());
    if !local {
        return Ok(vec![Client::new()]);
    }
    let client = |at: u8| {
        let address = IpAddr::from(Ipv4Addr::new(127, 0, 1, at));
        Client::builder().local_address(address).pool_idle_timeout(IDLE).build()
    };
    Ok((1..=ADDRESSES).map(client).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_named_where_the_address_leaves_room() {
        assert_eq!(address("http://h/whip/{channel}", "a7").unwrap().as_str(), "http://h/whip/a7");
        assert_eq!(address("http://h/whip/main", "a7").unwrap().as_str(), "http://h/whip/main");
        assert!(address("whip", "a7").is_err());
    }

    #[test]
    fn a_crowd_on_loopback_has_many_addresses() {
        for (server, crowd) in
            [("http://127.0.0.1:8080/", true), ("http://localhost/", true), ("http://192.0.2.1/", false)]
        {
            assert_eq!(callers(&server.parse().unwrap()).unwrap().len() > 1, crowd, "{server}");
        }
    }
}
