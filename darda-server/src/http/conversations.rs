//! Conversations, their history, members and receipts.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use darda_core::Mark;
use darda_core::model::{Position, limits};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::request::{Asked, Asker, Body, Named};
use crate::error::{Code, HttpError};
use crate::wire::{
    self, ConversationsView, Empty, MAX_SAFE_INTEGER, MembersView, PageView, ReceiptsView,
};

/// Where a page starts, and its size.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListPage {
    /// Only conversations whose newest entry stands before this position.
    before: Option<u64>,
    /// At most so many; a higher number is cut to 100. Default: 50.
    limit: Option<u64>,
}

/// Where a page starts, and its size.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntriesPage {
    /// The entries just before this position.
    before: Option<u64>,
    /// The entries just after this position; not together with `before`. Without both: the newest.
    after: Option<u64>,
    /// At most so many; a higher number is cut to 200. Default: 50.
    limit: Option<u64>,
}

/// Marks to move forward.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewMarks {
    /// Everything up to here reached a device.
    delivered: Option<u64>,
    /// Everything up to here was seen.
    seen: Option<u64>,
}

/// The user's conversations
///
/// The one with the newest entry first.
#[utoipa::path(
    get, path = "/v1/conversations", params(ListPage),
    responses((status = 200, body = ConversationsView), (status = "default", body = HttpError))
)]
pub(crate) async fn conversations(
    Asked(page): Asked<ListPage>,
    Asker(user): Asker,
) -> Result<Response, HttpError> {
    let limit = wire::page_limit(page.limit, limits::DEFAULT_PAGE, limits::MAX_LIST_PAGE)?;
    let before = position("before", page.before)?;
    let summaries = user.conversations(before, limit).await?;
    Ok(json(&ConversationsView::from(summaries.as_slice())))
}

/// A conversation's history
///
/// Ascending, without holes.
#[utoipa::path(
    get, path = "/v1/conversations/{conversation}/entries",
    params(("conversation" = String, Path), EntriesPage),
    responses((status = 200, body = PageView), (status = "default", body = HttpError))
)]
pub(crate) async fn entries(
    Named(conversation): Named,
    Asked(page): Asked<EntriesPage>,
    Asker(user): Asker,
) -> Result<Response, HttpError> {
    let limit = wire::page_limit(page.limit, limits::DEFAULT_PAGE, limits::MAX_PAGE)?;
    let range = wire::range(
        position("before", page.before)?,
        position("after", page.after)?,
    )?;
    let page = user.history(conversation, range, limit).await?;
    Ok(json(&PageView::from(&page)))
}

/// A conversation's members
#[utoipa::path(
    get, path = "/v1/conversations/{conversation}/members",
    params(("conversation" = String, Path)),
    responses((status = 200, body = MembersView), (status = "default", body = HttpError))
)]
pub(crate) async fn members(
    Named(conversation): Named,
    Asker(user): Asker,
) -> Result<Response, HttpError> {
    let members = user.members(conversation).await?;
    Ok(json(&MembersView::from(members.as_ref())))
}

/// How far the members have come
#[utoipa::path(
    get, path = "/v1/conversations/{conversation}/receipts",
    params(("conversation" = String, Path)),
    responses((status = 200, body = ReceiptsView), (status = "default", body = HttpError))
)]
pub(crate) async fn receipts(
    Named(conversation): Named,
    Asker(user): Asker,
) -> Result<Response, HttpError> {
    let receipts = user.receipts(conversation).await?;
    Ok(json(&ReceiptsView::from(receipts.as_slice())))
}

/// Move the user's own marks forward
///
/// A mark that is further already stays.
#[utoipa::path(
    put, path = "/v1/conversations/{conversation}/receipts",
    params(("conversation" = String, Path)), request_body = NewMarks,
    responses((status = 200, body = Empty), (status = "default", body = HttpError))
)]
pub(crate) async fn mark(
    Named(conversation): Named,
    Asker(user): Asker,
    Body(marks): Body<NewMarks>,
) -> Result<Response, HttpError> {
    let delivered = position("delivered", marks.delivered)?.map(Mark::Delivered);
    let seen = position("seen", marks.seen)?.map(Mark::Seen);
    if delivered.is_none() && seen.is_none() {
        return Err(HttpError::new(
            Code::Invalid,
            "give `delivered`, `seen` or both",
        ));
    }
    for mark in [delivered, seen].into_iter().flatten() {
        user.mark(conversation, mark).await?;
    }
    Ok(json(&Empty {}))
}

fn position(name: &str, asked: Option<u64>) -> Result<Option<Position>, HttpError> {
    match asked {
        Some(at) if at > MAX_SAFE_INTEGER => {
            let message = format!("{name}: a position is over {MAX_SAFE_INTEGER}");
            Err(HttpError::new(Code::Invalid, message))
        }
        asked => Ok(asked.map(Position)),
    }
}

/// Of one user, at one moment: nothing that a cache should keep.
fn json<T: Serialize>(value: &T) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(value)).into_response()
}
