//! The client, the database, and what every command to it has in common.

use std::time::Duration;

use darda_core::adapter::Redacted;
use darda_core::{Error, Result};
use mongodb::bson::{RawDocumentBuf, rawdoc};
use mongodb::options::{
    Acknowledgment, ClientOptions, DatabaseOptions, ReadConcern, ReadPreference, SelectionCriteria,
    ServerApi, ServerApiVersion, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use tempfile::NamedTempFile;
use tokio::time::timeout;

use crate::config::MongoConfig;
use crate::error::{invalid, of_call, of_connecting, silent};
use crate::tls::{encryption, is_unverified};

const APP_NAME: &str = "darda";
const MIN_POOL_SIZE: u32 = 1;
const MAX_POOL_SIZE: u32 = 32;
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A database, and how long it may take.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) database: Database,
    pub(crate) operation_timeout: Duration,
    pub(crate) index_timeout: Duration,
}

/// A write is kept when a majority has it in its journal. The database waits no longer than we do.
fn write_concern(wait: Duration) -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(wait)
        .build()
}

impl Connection {
    pub(crate) fn new(client: Client, config: &MongoConfig) -> Result<Self> {
        // The server's own rules; a driver that is given another name panics or fails late.
        let bad = [
            '/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0',
        ];
        if config.database.is_empty() || config.database.len() > 63 || config.database.contains(bad)
        {
            return Err(invalid("no such name is a database's"));
        }
        let options = DatabaseOptions::builder()
            .write_concern(write_concern(config.operation_timeout))
            // The primary's own knowledge: what it has acknowledged by a majority, it knows.
            .read_concern(ReadConcern::local())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        Ok(Self {
            database: client.database_with_options(&config.database, options),
            client,
            operation_timeout: config.operation_timeout,
            index_timeout: config.index_timeout,
        })
    }

    pub(crate) fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.database.collection(name)
    }

    /// The write concern, for commands that the driver does not make.
    pub(crate) fn write_concern_document(&self) -> RawDocumentBuf {
        let wait = i64::try_from(self.operation_timeout.as_millis()).unwrap_or(i64::MAX);
        rawdoc! { "w": "majority", "j": true, "wtimeout": wait }
    }

    /// What the driver gives for a command, or an error of the core, within the operation's time.
    /// The driver itself waits for an answer for ever.
    pub(crate) async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.operation_timeout, work)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    /// The same for one call of the driver.
    pub(crate) async fn asked<T>(
        &self,
        call: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T> {
        self.bounded(async { call.await.map_err(of_call) }).await
    }
}

/// The driver's client for a configuration, and the file that it needs. Nothing is connected yet.
pub(crate) async fn client(config: &MongoConfig) -> Result<(Client, Option<NamedTempFile>)> {
    let mut options = ClientOptions::parse(&config.url)
        .await
        .map_err(|error| without_url(of_connecting(error)))?;
    options.server_api = Some(
        ServerApi::builder()
            .version(ServerApiVersion::V1)
            .strict(true)
            .deprecation_errors(true)
            .build(),
    );
    let set = |setting: Option<Duration>, option: Option<Duration>, default| {
        Some(setting.or(option).unwrap_or(default))
    };
    options.server_selection_timeout = set(
        config.server_selection_timeout,
        options.server_selection_timeout,
        SERVER_SELECTION_TIMEOUT,
    );
    options.connect_timeout = set(
        config.connect_timeout,
        options.connect_timeout,
        CONNECT_TIMEOUT,
    );
    options.heartbeat_freq = set(config.heartbeat, options.heartbeat_freq, HEARTBEAT);
    let or = |setting: Option<u32>, option: Option<u32>, default| {
        Some(setting.or(option).unwrap_or(default))
    };
    options.min_pool_size = or(config.min_pool_size, options.min_pool_size, MIN_POOL_SIZE);
    options.max_pool_size = or(config.max_pool_size, options.max_pool_size, MAX_POOL_SIZE);
    let name = config.app_name.clone().or(options.app_name.take());
    options.app_name = Some(name.unwrap_or_else(|| APP_NAME.to_owned()));
    let encryption = encryption(&config.tls, options.tls.take())?;
    let mut identity = None;
    if let Some(encryption) = encryption {
        if is_unverified(&encryption.options) {
            tracing::warn!(
                server = %Redacted(&config.url),
                "the certificate of mongodb is not verified: whoever sits between can read and \
                 change everything"
            );
        }
        options.tls = Some(encryption.options);
        identity = encryption.identity;
    }
    let client = Client::with_options(options).map_err(of_connecting)?;
    Ok((client, identity))
}

/// The driver's complaint about a URL may quote it, with its password.
fn without_url(error: Error) -> Error {
    use darda_core::ErrorKind;
    if error.kind() == ErrorKind::Invalid {
        invalid("the URL of mongodb is not one that the driver understands")
    } else {
        error
    }
}
