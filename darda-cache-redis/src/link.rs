//! Connecting: to one server, to the master that Sentinel names, to a cluster.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use darda_core::adapter::Tls;
use darda_core::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisResult, TlsCertificates, TlsMode,
    Value,
};

use crate::address::Address;
use crate::config::RedisConfig;
use crate::error::{invalid, of_connecting};

/// Calls that wait to be written to a connection; more of them wait for a place, within their
/// timeout.
const WAITING_CALLS: usize = 1024;
/// How often the driver itself repeats a call that a cluster sent elsewhere.
const CLUSTER_RETRIES: u32 = 3;
/// The longest pause between those, in milliseconds.
const CLUSTER_RETRY_WAIT: u64 = 200;

/// A connection, cheap to clone: calls on it are pipelined.
#[derive(Clone)]
pub(crate) enum Link {
    Direct(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(crate) async fn query(&self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Direct(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Makes connections.
pub(crate) struct Connector {
    servers: Servers,
    connect_timeout: Duration,
    response_timeout: Duration,
}

enum Servers {
    Single(Box<Client>),
    Sentinel(Box<Sentinels>),
    Cluster(Box<ClusterClient>),
}

struct Sentinels {
    addresses: Vec<ConnectionAddr>,
    master: String,
    servers: ConnectionInfo,
    credentials: Option<(Option<String>, String)>,
    tls: Option<(TlsMode, TlsCertificates)>,
    attempts: AtomicUsize,
}

impl Connector {
    /// Reads the URL and the certificates.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self> {
        let (address, encrypted) = Address::parse(&config.url)?;
        let tls = encrypted.then(|| certificates(&config.tls)).transpose()?;
        if encrypted {
            choose_crypto();
        }
        Ok(Self {
            servers: Servers::new(address, tls, config)?,
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
        })
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.servers, Servers::Cluster(_))
    }

    /// Connects. `lost` is called when the server closes the connection; not of a cluster, which
    /// connects again by itself.
    pub(crate) async fn connect(
        &self,
        lost: impl Fn() + Send + Sync + 'static,
    ) -> RedisResult<Link> {
        let lost = move |info: PushInfo| {
            if info.kind == PushKind::Disconnection {
                lost();
            }
            Ok::<_, Infallible>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_pipeline_buffer_size(WAITING_CALLS)
            .set_push_sender(lost);
        Ok(match &self.servers {
            Servers::Single(client) => Link::Direct(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?,
            ),
            Servers::Sentinel(sentinels) => {
                let mut client = sentinels.client()?;
                Link::Direct(client.get_async_connection_with_config(&config).await?)
            }
            Servers::Cluster(client) => Link::Cluster(client.get_async_connection().await?),
        })
    }
}

impl Servers {
    fn new(address: Address, tls: Option<TlsCertificates>, config: &RedisConfig) -> Result<Self> {
        let mode = if config.tls.is_verified() {
            TlsMode::Secure
        } else {
            TlsMode::Insecure
        };
        let tls = tls.map(|certificates| (mode, certificates));
        Ok(match address {
            Address::Single(url) => {
                let info = info(&url, tls.as_ref())?;
                let client = match tls {
                    Some((_, certificates)) => Client::build_with_tls(info, certificates),
                    None => Client::open(info),
                };
                Self::Single(Box::new(client.map_err(of_connecting)?))
            }
            Address::Sentinel {
                sentinels,
                master,
                servers,
            } => {
                let address = |(host, port)| match &tls {
                    Some((mode, _)) => ConnectionAddr::TcpTls {
                        host,
                        port,
                        insecure: *mode == TlsMode::Insecure,
                        tls_params: None,
                    },
                    None => ConnectionAddr::Tcp(host, port),
                };
                Self::Sentinel(Box::new(Sentinels {
                    addresses: sentinels.into_iter().map(address).collect(),
                    master,
                    servers: info(&servers, None)?,
                    credentials: config.sentinel_credentials.clone(),
                    tls,
                    attempts: AtomicUsize::new(0),
                }))
            }
            Address::Cluster(urls) => {
                let nodes = urls.iter().map(|url| info(url, tls.as_ref()));
                let nodes = nodes.collect::<Result<Vec<_>>>()?;
                let mut builder = ClusterClientBuilder::new(nodes)
                    .connection_timeout(config.connect_timeout)
                    .response_timeout(config.response_timeout)
                    .overall_response_timeout(Some(config.response_timeout))
                    .retries(CLUSTER_RETRIES)
                    .min_retry_wait(10)
                    .max_retry_wait(CLUSTER_RETRY_WAIT);
                if let Some((mode, certificates)) = tls {
                    builder = builder.tls(mode).certs(certificates);
                }
                Self::Cluster(Box::new(builder.build().map_err(of_connecting)?))
            }
        })
    }
}

impl Sentinels {
    /// Asks another Sentinel first each time, so that one which hangs does not keep us away.
    fn client(&self) -> RedisResult<SentinelClient> {
        let mut addresses = self.addresses.clone();
        let first = self.attempts.fetch_add(1, Ordering::Relaxed) % addresses.len().max(1);
        addresses.rotate_left(first);
        let servers = self.servers.redis_settings();
        let mut builder =
            SentinelClientBuilder::new(addresses, &self.master, SentinelServerType::Master)?
                .set_client_to_redis_protocol(ProtocolVersion::RESP3)
                .set_client_to_redis_db(servers.db());
        if let Some(user) = servers.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = servers.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some((user, password)) = &self.credentials {
            if let Some(user) = user {
                builder = builder.set_client_to_sentinel_username(user);
            }
            builder = builder.set_client_to_sentinel_password(password);
        }
        if let Some((mode, certificates)) = &self.tls {
            builder = builder
                .set_client_to_redis_tls_mode(*mode)
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_tls_mode(*mode)
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        builder.build()
    }
}

/// A server's address for the driver. RESP3, which tells of a closed connection at once.
fn info(url: &str, tls: Option<&(TlsMode, TlsCertificates)>) -> Result<ConnectionInfo> {
    let unverified = matches!(tls, Some((TlsMode::Insecure, _)));
    let url = format!("{url}{}", if unverified { "#insecure" } else { "" });
    let info = url.into_connection_info().map_err(of_connecting)?;
    let settings = info.redis_settings().clone();
    Ok(info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3)))
}

fn certificates(tls: &Tls) -> Result<TlsCertificates> {
    let read = |file: &std::path::Path| {
        std::fs::read(file).map_err(|error| {
            let why = format!("{} cannot be read", file.display());
            Error::new(darda_core::ErrorKind::Invalid, why).with_source(error)
        })
    };
    let client_tls = match tls.identity() {
        Some(identity) => Some(ClientTlsConfig {
            client_cert: read(&identity.certificates)?,
            client_key: read(&identity.key)?,
        }),
        None => None,
    };
    let root_cert = tls.authorities().map(read).transpose()?;
    if root_cert.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("the file of the authorities is empty"));
    }
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}

/// The driver takes the process's choice of a crypto library, and panics where there is none.
fn choose_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have chosen meanwhile, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
