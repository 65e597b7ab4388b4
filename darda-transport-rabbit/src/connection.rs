//! One connection: made within a time limit, and asked now and then whether it lives.

use std::sync::Arc;
use std::time::Duration;

use darda_core::adapter::{Redacted, Tls};
use darda_core::{Error, ErrorKind, Result};
use futures::future::join_all;
use lapin::options::BasicQosOptions;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Confirmation, ConnectionProperties, PublisherConfirm};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::RabbitConfig;
use crate::encryption::{self, invalid};
use crate::error::{busy, from_driver, unavailable};
use crate::topology::{self, Names, Purpose};

/// AMQP's number for messages that survive a restart.
pub(crate) const PERSISTENT: u8 = 2;
/// How long a farewell may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A living connection. The token falls when it is known to be dead; whoever drops the last
/// reference closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    driver: Option<lapin::Connection>,
    asking: Channel,
    dead: CancellationToken,
}

/// What the URL says, read once.
#[derive(Clone)]
pub(crate) struct Dialer {
    uri: AMQPUri,
    /// `None` where nothing is encrypted.
    tls: Option<RustlsConnector>,
    config: Arc<RabbitConfig>,
    names: Names,
}

/// Without the key and the password.
impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    pub(crate) fn new(config: Arc<RabbitConfig>) -> Result<Self> {
        let mut uri: AMQPUri = config.url.parse().map_err(|error: String| {
            let message = format!("not an AMQP URL: {}", Redacted(&config.url));
            Error::new(ErrorKind::Invalid, message).with_source(error)
        })?;
        let seconds = config.heartbeat.as_secs().clamp(1, u64::from(u16::MAX));
        uri.query.heartbeat = Some(seconds as u16);
        let tls = match uri.scheme {
            AMQPScheme::AMQPS => Some(encryption::connector(&config.tls)?),
            AMQPScheme::AMQP if config.tls == Tls::default() => None,
            // What is meant to protect and does nothing is an error.
            AMQPScheme::AMQP => return Err(invalid("TLS is set up, but the URL is not amqps")),
        };
        Ok(Self {
            uri,
            tls,
            names: Names::new(&config),
            config,
        })
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn config(&self) -> &RabbitConfig {
        &self.config
    }

    /// Connects, declares what lasts and is needed, and watches from then on.
    pub(crate) async fn dial(&self, purpose: Purpose) -> Result<Arc<Connection>> {
        let connecting = async {
            let properties = ConnectionProperties::default()
                .with_connection_name(format!("{} {purpose}", self.config.prefix).into());
            let tls = self.tls.clone();
            let driver = lapin::Connection::connector(
                self.uri.clone(),
                lapin::runtime::default_runtime()?,
                async move |uri, runtime| {
                    let host = uri.authority.host;
                    let address = runtime.to_socket_addrs((host.clone(), uri.authority.port));
                    let stream = AsyncTcpStream::connect(&runtime, address).await?;
                    Ok(match &tls {
                        Some(tls) => stream.into_rustls(tls, &host).await?,
                        None => stream,
                    })
                },
                properties,
            )
            .await?;
            topology::declare(&driver, purpose, &self.names, &self.config).await?;
            let asking = driver.create_channel().await?;
            Ok((driver, asking))
        };
        let (driver, asking) = timeout(self.config.connect_timeout, connecting)
            .await
            .map_err(|_| unavailable("rabbitmq takes no connection in time"))?
            .map_err(from_driver)?;
        let connection = Arc::new(Connection {
            driver: Some(driver),
            asking,
            dead: CancellationToken::new(),
        });
        tokio::spawn(watch(
            Arc::downgrade(&connection),
            connection.dead.clone(),
            self.config.probe_interval,
        ));
        Ok(connection)
    }
}

/// Finds out that a connection is dead: it says so, or it does not answer.
async fn watch(
    connection: std::sync::Weak<Connection>,
    dead: CancellationToken,
    interval: Duration,
) {
    loop {
        tokio::select! {
            () = dead.cancelled() => return,
            () = sleep(interval) => {}
        }
        let Some(connection) = connection.upgrade() else {
            return;
        };
        if !connection.is_connected() {
            break;
        }
        if connection.is_blocked() {
            // It reads nothing that we send; heartbeats of its own show that it lives.
            continue;
        }
        // The cheapest question: it changes nothing.
        let answer = connection.asking.basic_qos(0, BasicQosOptions::default());
        match timeout(interval, answer).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection to rabbitmq broke");
                break;
            }
            Err(_) if connection.is_blocked() => {}
            Err(_) => {
                tracing::warn!("a connection to rabbitmq does not answer and is given up");
                break;
            }
        }
    }
    dead.cancel();
}

impl Connection {
    pub(crate) async fn channel(&self) -> Result<Channel> {
        match &self.driver {
            Some(driver) => driver.create_channel().await.map_err(from_driver),
            None => Err(unavailable("the connection to rabbitmq is closed")),
        }
    }

    /// The channel for questions. A refused one closes it, and the connection is given up.
    pub(crate) fn asking(&self) -> &Channel {
        &self.asking
    }

    /// Whether publishers are told to wait: an alarm of memory or disk.
    pub(crate) fn is_blocked(&self) -> bool {
        self.driver
            .as_ref()
            .is_some_and(|driver| driver.status().blocked())
    }

    fn is_connected(&self) -> bool {
        self.driver
            .as_ref()
            .is_some_and(|driver| driver.status().connected())
    }

    /// Falls when the connection is dead.
    pub(crate) fn dead(&self) -> &CancellationToken {
        &self.dead
    }

    /// Waits until everything published is confirmed.
    pub(crate) async fn confirmed(
        &self,
        confirms: Vec<PublisherConfirm>,
        patience: Duration,
    ) -> Result<()> {
        let Ok(confirms) = timeout(patience, join_all(confirms)).await else {
            return Err(if self.is_blocked() {
                busy("rabbitmq has no memory or disk left")
            } else {
                unavailable("rabbitmq does not confirm")
            });
        };
        let mut refused = false;
        for confirm in confirms {
            match confirm.map_err(from_driver)? {
                Confirmation::Ack(None) | Confirmation::NotRequested => {}
                Confirmation::Nack(None) => refused = true,
                Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                    tracing::error!("a durable queue is missing: declaring it again");
                    self.give_up();
                    return Err(unavailable("a durable queue is missing"));
                }
            }
        }
        if refused {
            return Err(busy("a durable queue is full"));
        }
        Ok(())
    }

    /// Gives it up.
    pub(crate) fn give_up(&self) {
        self.dead.cancel();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.dead.cancel();
        let Some(driver) = self.driver.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // If it does not take leave, the server finds out by itself.
                let _ = timeout(GOODBYE, driver.close(200, "done".into())).await;
            });
        }
    }
}
