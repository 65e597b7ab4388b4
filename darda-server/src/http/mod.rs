//! What is not live: history, conversations, members, receipts; health, metrics, documents, the
//! page.

mod conversations;
mod documents;
mod health;
mod page;
mod rate;
mod request;

pub(crate) use self::conversations::{conversations, entries, mark, members, receipts};
pub use self::documents::openapi_document;
pub(crate) use self::documents::{docs, docs_file, openapi};
pub(crate) use self::health::{Readiness, healthz, metrics, readyz};
pub(crate) use self::page::{harden, page, page_file};
pub(crate) use self::rate::HttpRates;
pub(crate) use self::request::{let_go, no_such_method, no_such_route};
