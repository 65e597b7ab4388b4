//! Single values of a command, checked as far as they can be without the engine.

use std::borrow::Cow;

use darda_core::model::{ClientId, ConversationId, EntryId, InvalidId, Position, UserId};
use darda_core::ports::Range;
use serde_json::value::RawValue;

use super::MAX_METADATA_DEPTH;
use crate::error::{Code, Failure};

pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Failure {
    Failure::new(Code::Invalid, message)
}

/// Metadata is one JSON object that does not nest too deep.
pub(super) fn object(metadata: &RawValue) -> Result<&str, Failure> {
    let text = metadata.get();
    if !text.starts_with('{') {
        return Err(invalid("metadata: must be a JSON object"));
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_METADATA_DEPTH {
                    let message = format!("metadata: nests deeper than {MAX_METADATA_DEPTH}");
                    return Err(invalid(message));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(text)
}

fn because(field: &str) -> impl FnOnce(InvalidId) -> Failure + '_ {
    move |reason| invalid(format!("{field}: {reason}"))
}

/// Reads a conversation's id.
pub(crate) fn conversation(text: &str) -> Result<ConversationId, Failure> {
    text.parse().map_err(because("conversation"))
}

pub(super) fn entry(field: &str, text: &str) -> Result<EntryId, Failure> {
    text.parse().map_err(because(field))
}

pub(super) fn client_id(text: &str) -> Result<ClientId, Failure> {
    ClientId::new(text).map_err(because("client_id"))
}

pub(super) fn user(field: &str, text: &str) -> Result<UserId, Failure> {
    UserId::new(text).map_err(because(field))
}

pub(super) fn users(
    field: &str,
    texts: &[Cow<'_, str>],
    limit: usize,
) -> Result<Vec<UserId>, Failure> {
    within(field, texts.len(), limit)?;
    texts.iter().map(|text| user(field, text)).collect()
}

pub(super) fn within(field: &str, size: usize, limit: usize) -> Result<(), Failure> {
    if size <= limit {
        return Ok(());
    }
    Err(Failure::new(
        Code::TooLarge,
        format!("{field}: {size} is over the limit of {limit}"),
    ))
}

/// The stretch of history that was asked for.
pub(crate) fn range(before: Option<Position>, after: Option<Position>) -> Result<Range, Failure> {
    match (before, after) {
        (Some(_), Some(_)) => Err(invalid("give `before` or `after`, not both")),
        (Some(before), None) => Ok(Range::Before(before)),
        (None, Some(after)) => Ok(Range::After(after)),
        (None, None) => Ok(Range::NEWEST),
    }
}

/// The page's size: what was asked for, up to the limit.
pub(crate) fn page_limit(
    asked: Option<u64>,
    default: usize,
    limit: usize,
) -> Result<usize, Failure> {
    match asked {
        None => Ok(default),
        Some(0) => Err(invalid("limit: must be at least 1")),
        Some(asked) => Ok(usize::try_from(asked).unwrap_or(usize::MAX).min(limit)),
    }
}
