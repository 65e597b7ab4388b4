//! Nothing is written to the log before its indexes are known to be there: without the unique one, an
//! entry could be stored twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use darda_core::{Error, ErrorKind, Result};
use futures::TryStreamExt;
use mongodb::IndexModel;
use mongodb::bson::Document;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::error::{is_index_conflict, is_no_collection, of_call, silent, unavailable};
use crate::indexes::{Index, declared};

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is known of the indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nothing yet.
    Pending,
    /// They are there.
    Ready,
    /// One of them is not as it must be, and which.
    Refused(Arc<str>),
}

impl Readiness {
    pub(crate) fn check(&self) -> Result<()> {
        let refusal = match self {
            Self::Ready => return Ok(()),
            Self::Pending => unavailable("mongodb's indexes are not known to be there yet"),
            Self::Refused(why) => {
                Error::new(ErrorKind::Unavailable, why.clone()).with_retry_after(LONGEST_WAIT)
            }
        };
        Err(refusal.without_asking())
    }
}

/// Why the indexes are not known to be there.
enum Obstacle {
    /// Somebody has to look after this index.
    Wrong(Arc<str>, Option<Error>),
    /// It may be different at the next attempt.
    Away(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Away(error)
    }
}

/// Makes and checks the indexes until they are there. An index that is wrong is looked at again, so
/// that it can be put right while the node runs.
pub(crate) async fn make_indexes(
    connection: Connection,
    readiness: watch::Sender<Readiness>,
    stop: CancellationToken,
) {
    let waits = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .without_max_times();
    for wait in waits.build() {
        let attempt = timeout(connection.index_timeout, ensure(&connection));
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = attempt => outcome.unwrap_or_else(|_| Err(silent().into())),
        };
        match outcome {
            Ok(()) => {
                tracing::info!(
                    database = connection.database.name(),
                    "mongodb's indexes are there"
                );
                readiness.send_replace(Readiness::Ready);
                return;
            }
            Err(Obstacle::Wrong(why, cause)) => {
                let refused = Readiness::Refused(why.clone());
                if readiness.send_replace(refused.clone()) != refused {
                    let cause = cause.as_ref().and_then(std::error::Error::source);
                    tracing::error!(database = connection.database.name(), %why, cause,
                        "an index of mongodb has to be put right; nothing is stored until then");
                }
            }
            Err(Obstacle::Away(error)) => {
                let cause = std::error::Error::source(&error);
                tracing::warn!(database = connection.database.name(), %error, cause,
                    "mongodb's indexes are not known to be there yet");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn ensure(connection: &Connection) -> Result<(), Obstacle> {
    let mut by_collection = BTreeMap::<_, Vec<Index>>::new();
    for index in declared() {
        by_collection
            .entry(index.collection)
            .or_default()
            .push(index);
    }
    for (collection, indexes) in by_collection {
        let mut missing = Vec::new();
        let existing = existing(connection, collection).await?;
        for index in indexes {
            if !is_there(&index, &existing)? {
                missing.push(index);
            }
        }
        for index in &missing {
            make(connection, index).await?;
        }
        if !missing.is_empty() {
            let existing = self::existing(connection, collection).await?;
            for index in &missing {
                if !is_there(index, &existing)? {
                    return Err(unavailable("an index is not there after it was made").into());
                }
            }
        }
    }
    Ok(())
}

async fn existing(connection: &Connection, collection: &str) -> Result<Vec<IndexModel>> {
    let collection = connection.collection::<Document>(collection);
    let listed = async { collection.list_indexes().await?.try_collect().await };
    match listed.await {
        Err(error) if is_no_collection(&error) => Ok(Vec::new()),
        listed => listed.map_err(of_call),
    }
}

/// Whether an index is there. Another one in its place is an error.
fn is_there(index: &Index, existing: &[IndexModel]) -> Result<bool, Obstacle> {
    if existing.iter().any(|existing| index.is_done_by(existing)) {
        return Ok(true);
    }
    if existing.iter().any(|existing| index.is_about(existing)) {
        return Err(Obstacle::Wrong(wrong(index), None));
    }
    Ok(false)
}

async fn make(connection: &Connection, index: &Index) -> Result<(), Obstacle> {
    let collection = connection.collection::<Document>(index.collection);
    match collection.create_index(index.model()).await {
        Ok(_) => Ok(()),
        Err(error) if is_index_conflict(&error) => {
            Err(Obstacle::Wrong(wrong(index), Some(of_call(error))))
        }
        Err(error) => Err(of_call(error).into()),
    }
}

fn wrong(index: &Index) -> Arc<str> {
    let Index {
        collection,
        name,
        keys,
        unique,
    } = index;
    let unique = if *unique { "unique, " } else { "" };
    format!("the index {name} of {collection} ({unique}{keys}) is not as it must be").into()
}
