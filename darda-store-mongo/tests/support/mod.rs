//! A fresh database for each test, dropped when the test's runtime ends.

#![allow(clippy::unwrap_used, clippy::panic)] // parts of tests
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use darda_core::Result;
use darda_store_mongo::{MongoConfig, MongoStore};
use mongodb::bson::{Bson, Document};
use mongodb::{Client, Database};

pub(crate) const VARIABLE: &str = "DARDA_TEST_MONGO_URL";
pub(crate) const MISSING: &str = "DARDA_TEST_MONGO_URL is not set; `make test` starts one";

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The shared server, if there is one.
pub(crate) fn url() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|url| !url.is_empty())
}

/// The shared server; or `None`, said aloud, where none is required.
pub(crate) fn url_or_skip() -> Option<String> {
    darda_backends::or_skip(url().ok_or(darda_backends::StartError::Missing(MISSING.into())))
}

/// A name that no other test has.
pub(crate) fn database_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!(
        "darda_test_{:x}_{:x}_{next:x}",
        since.as_micros(),
        std::process::id()
    )
}

/// A configuration with a database of the test's own. When the test's runtime ends, it is dropped.
pub(crate) fn config(url: &str) -> MongoConfig {
    let database = database_name();
    let drops = Drops {
        url: url.to_owned(),
        database: database.clone(),
    };
    tokio::spawn(async move {
        let _drops = drops;
        std::future::pending::<()>().await;
    });
    MongoConfig::new(url, database)
}

struct Drops {
    url: String,
    database: String,
}

impl Drop for Drops {
    fn drop(&mut self) {
        let (url, database) = (self.url.clone(), self.database.clone());
        let drop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let dropped = async {
                    let client = Client::with_uri_str(&url).await?;
                    client.database(&database).drop().await
                };
                let _ = tokio::time::timeout(Duration::from_secs(20), dropped).await;
            });
        };
        let _ = std::thread::spawn(drop).join();
    }
}

/// A store whose indexes are there.
pub(crate) async fn ready(config: MongoConfig) -> MongoStore {
    let store = MongoStore::connect(config).await.unwrap();
    store.ready().await.unwrap();
    store
}

/// The database of a configuration, with a client of the test's own.
pub(crate) async fn database(url: &str, config: &MongoConfig) -> Database {
    let client = Client::with_uri_str(url).await.unwrap();
    client.database(&name_of(config))
}

/// The name stands in what is shown of a configuration.
fn name_of(config: &MongoConfig) -> String {
    let shown = format!("{config:?}");
    let (_, rest) = shown.split_once("database: \"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// Repeats a call until it succeeds.
pub(crate) async fn until_ok<T>(mut call: impl AsyncFnMut() -> Result<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                assert!(tokio::time::Instant::now() < deadline, "{error:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// All stages of a plan, outermost first.
pub(crate) fn stages(plan: &Document) -> Vec<String> {
    fn collect(value: &Bson, stages: &mut Vec<String>) {
        match value {
            Bson::Document(document) => {
                // As MongoDB calls them, and as PostgreSQL below FerretDB does.
                for name in ["stage", "Node Type"] {
                    stages.extend(document.get_str(name).ok().map(str::to_owned));
                }
                document
                    .iter()
                    .for_each(|(_, value)| collect(value, stages));
            }
            Bson::Array(values) => values.iter().for_each(|value| collect(value, stages)),
            _ => {}
        }
    }
    let mut stages = Vec::new();
    collect(&Bson::Document(plan.clone()), &mut stages);
    stages
}

/// Moves an entry, however often it meets other moves.
pub(crate) async fn until_moved(
    store: &MongoStore,
    entry: std::sync::Arc<darda_core::model::Entry>,
) -> Result<darda_core::ports::Relocated> {
    use darda_core::ports::Store;
    Ok(until_ok(async || store.relocate(entry.clone()).await).await)
}
