//! Which servers a URL names.

use darda_core::Result;

use crate::error::invalid;

/// Servers and how they are arranged. Holds passwords: never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// One server, as a URL of the driver.
    Single(String),
    /// Sentinels as host and port, and the master's name and URL without a host.
    Sentinel {
        sentinels: Vec<(String, u16)>,
        master: String,
        /// A URL with a placeholder for the host, for credentials and database.
        servers: String,
    },
    /// Servers of a cluster, as URLs of the driver.
    Cluster(Vec<String>),
}

const SENTINEL_PORT: u16 = 26379;

impl Address {
    /// What a URL names, and whether connections are encrypted.
    pub(crate) fn parse(url: &str) -> Result<(Self, bool)> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("the redis url has no scheme"))?;
        let (protocol, topology) = match scheme.split_once('+') {
            Some((protocol, topology)) => (protocol, Some(topology)),
            None => (scheme, None),
        };
        let encrypted = match protocol {
            "redis" => false,
            "rediss" => true,
            _ => {
                return Err(invalid(
                    "the redis url's scheme is neither redis nor rediss",
                ));
            }
        };
        if rest.contains(['#', '?']) {
            return Err(invalid("the redis url has options; they are settings here"));
        }
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (format!("{credentials}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.split(',').any(str::is_empty) {
            return Err(invalid("the redis url names no host"));
        }
        let of = |host: &str, path: &str| format!("{protocol}://{credentials}{host}/{path}");
        let address = match topology {
            None if hosts.contains(',') => {
                return Err(invalid("the redis url names several hosts of one server"));
            }
            None => Self::Single(of(hosts, path)),
            Some("cluster") => Self::Cluster(hosts.split(',').map(|host| of(host, path)).collect()),
            Some("sentinel") => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(invalid("the redis url names no master"));
                }
                let sentinels = hosts.split(',').map(host_and_port);
                Self::Sentinel {
                    sentinels: sentinels.collect::<Result<_>>()?,
                    master: master.to_owned(),
                    servers: of("localhost", database),
                }
            }
            Some(_) => {
                return Err(invalid(
                    "the redis url is neither of sentinels nor a cluster",
                ));
            }
        };
        Ok((address, encrypted))
    }
}

fn host_and_port(host: &str) -> Result<(String, u16)> {
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    match host.rsplit_once(':') {
        // The last colon of a bare IPv6 address parts nothing.
        Some((name, port)) if !port.ends_with(']') => {
            let port = port
                .parse()
                .map_err(|_| invalid("a port of the redis url is no number"))?;
            Ok((bare(name), port))
        }
        _ => Ok((bare(host), SENTINEL_PORT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> (Address, bool) {
        Address::parse(url).unwrap()
    }

    #[test]
    fn a_plain_url_is_one_server() {
        let (address, encrypted) = parse("rediss://u:p%40@host:1/2");
        assert!(address == Address::Single("rediss://u:p%40@host:1/2".into()));
        assert!(encrypted);
    }

    #[test]
    fn sentinels_have_a_port_of_their_own_and_the_master_the_credentials() {
        let (address, encrypted) = parse("redis+sentinel://:secret@a,b:7,[::1]:8/chat/3");
        let sentinels = vec![
            ("a".to_owned(), 26379),
            ("b".to_owned(), 7),
            ("::1".to_owned(), 8),
        ];
        let expected = Address::Sentinel {
            sentinels,
            master: "chat".into(),
            servers: "redis://:secret@localhost/3".into(),
        };
        assert!(address == expected);
        assert!(!encrypted);
    }

    #[test]
    fn each_host_of_a_cluster_has_the_credentials() {
        let (address, _) = parse("redis+cluster://u:p@a:1,b:2");
        let urls = ["redis://u:p@a:1/", "redis://u:p@b:2/"];
        assert!(address == Address::Cluster(urls.map(String::from).to_vec()));
    }

    #[test]
    fn a_url_that_names_nothing_is_refused() {
        for url in [
            "",
            "host",
            "http://host",
            "redis://",
            "redis://a,b",
            "redis+ring://a",
            "redis+sentinel://a",
            "redis+sentinel://a:x/chat",
            "redis+cluster://a,,b",
            "rediss://a/#insecure",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
