//! Many updates of one collection in few commands. The driver offers one update a call, or a command
//! of MongoDB 8.

use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};

use crate::connection::Connection;
use crate::error::{DUPLICATE_KEY, of_call, of_code, unavailable, unconfirmed, unreadable};
use darda_core::Result;

/// Updates of one command.
const MAX_STATEMENTS: usize = 500;
/// Bytes of one command; the server's limit is 16 MiB.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Attempts at upserts that other callers' upserts come before.
const MAX_ATTEMPTS: usize = 4;

/// An update of one document.
pub(crate) fn statement(filter: Document, update: Document, upsert: bool) -> Document {
    let mut statement = doc! { "q": filter, "u": update };
    if upsert {
        statement.insert("upsert", true);
    }
    statement
}

impl Connection {
    /// Carries out updates, each by itself, in no order.
    pub(crate) async fn update_many(
        &self,
        collection: &'static str,
        statements: Vec<Document>,
    ) -> Result<()> {
        let mut waiting = Vec::with_capacity(statements.len());
        for statement in &statements {
            let raw = RawDocumentBuf::try_from(statement)
                .map_err(|error| unreadable("an update could not be written").with_source(error))?;
            waiting.push(raw);
        }
        while !waiting.is_empty() {
            let mut bytes = 0;
            let fits = waiting.iter().take(MAX_STATEMENTS).take_while(|statement| {
                bytes += statement.as_bytes().len();
                bytes <= MAX_BYTES
            });
            let count = fits.count().max(1);
            let rest = waiting.split_off(count.min(waiting.len()));
            self.update_command(collection, waiting).await?;
            waiting = rest;
        }
        Ok(())
    }

    async fn update_command(
        &self,
        collection: &'static str,
        mut statements: Vec<RawDocumentBuf>,
    ) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let mut updates = RawArrayBuf::new();
            for statement in &statements {
                updates.push(statement.clone());
            }
            let command = rawdoc! {
                "update": collection,
                "updates": updates,
                "ordered": false,
                "writeConcern": self.write_concern_document(),
            };
            let answer = self.database.run_raw_command(command).await;
            let lost = lost_races(&answer.map_err(of_call)?)?;
            if lost.is_empty() {
                return Ok(());
            }
            // Another caller made the document first: now there is one to update.
            let mut at = 0..;
            statements.retain(|_| at.next().is_some_and(|at| lost.contains(&at)));
        }
        Err(unavailable("others write the same documents"))
    }
}

/// The statements whose upserts came second.
fn lost_races(answer: &Document) -> Result<Vec<usize>> {
    if answer.get("writeConcernError").is_some() {
        return Err(unconfirmed());
    }
    let Some(errors) = answer.get("writeErrors") else {
        return Ok(Vec::new());
    };
    let misshapen = || unreadable("mongodb gave an unexpected answer");
    let errors = errors.as_array().ok_or_else(misshapen)?;
    let lost = errors.iter().map(|error| {
        let error = error.as_document().ok_or_else(misshapen)?;
        let number = |name| error.get(name).and_then(whole).ok_or_else(misshapen);
        let code = i32::try_from(number("code")?).map_err(|_| misshapen())?;
        if code != DUPLICATE_KEY {
            return Err(of_code(code));
        }
        usize::try_from(number("index")?).map_err(|_| misshapen())
    });
    lost.collect()
}

fn whole(value: &Bson) -> Option<i64> {
    value.as_i64().or(value.as_i32().map(i64::from))
}

#[cfg(test)]
mod tests {
    use darda_core::ErrorKind;

    use super::*;

    #[test]
    fn an_upsert_that_came_second_is_told_from_other_errors() {
        assert_eq!(lost_races(&doc! { "ok": 1, "n": 3 }).unwrap(), [0; 0]);
        let errors = |code: i32| doc! { "writeErrors": [{ "index": 2, "code": code }] };
        assert_eq!(lost_races(&errors(11000)).unwrap(), [2]);
        let kind = |answer| lost_races(&answer).unwrap_err().kind();
        assert_eq!(kind(errors(121)), ErrorKind::Internal);
        assert_eq!(kind(errors(10107)), ErrorKind::Unavailable);
        let unconfirmed = doc! { "ok": 1, "writeConcernError": { "code": 64 } };
        assert_eq!(kind(unconfirmed), ErrorKind::Unavailable);
    }
}
