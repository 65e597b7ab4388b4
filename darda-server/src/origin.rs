//! Which pages may use the server: a browser lets any page open a WebSocket to anywhere, with the
//! user's cookies, and says only whose page it is. An answer over HTTP it shows to a page of another
//! origin only if the server says so.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::error::{Code, HttpError};
use crate::router::AppState;

/// Refuses requests from pages of other origins. What sends no `Origin` is no page.
pub(crate) async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let host = request
            .headers()
            .get(header::HOST)
            .map(|host| host.as_bytes());
        let allowed = &state.options().allowed_origins;
        if !allows(origin.as_bytes(), host, allowed) {
            let message = "pages of this origin may not use this server";
            return HttpError::new(Code::Forbidden, message).into_response();
        }
    }
    next.run(request).await
}

/// Tells browsers that pages of these origins may read the answers.
pub(crate) fn share_with(allowed: Vec<String>) -> CorsLayer {
    let listed = move |origin: &HeaderValue, _: &Parts| is_listed(origin.as_bytes(), &allowed);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(listed))
        .allow_methods([Method::GET, Method::PUT])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
}

fn is_listed(origin: &[u8], allowed: &[String]) -> bool {
    let same = |allowed: &String| allowed.as_bytes().eq_ignore_ascii_case(origin);
    allowed.iter().any(same)
}

fn allows(origin: &[u8], host: Option<&[u8]>, allowed: &[String]) -> bool {
    if is_listed(origin, allowed) {
        return true;
    }
    let own = origin
        .strip_prefix(b"http://")
        .or_else(|| origin.strip_prefix(b"https://"));
    match (own, host) {
        (Some(own), Some(host)) => own.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_host_and_listed_origins_are_allowed() {
        let listed = ["https://app.example.org".to_owned()];
        let host = Some(&b"chat.example.org:8080"[..]);
        for (origin, expected) in [
            ("http://chat.example.org:8080", true),
            ("https://Chat.example.org:8080", true),
            ("http://chat.example.org", false),
            ("http://chat.example.org:8080.evil.org", false),
            ("https://app.example.org", true),
            ("http://app.example.org", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(
                allows(origin.as_bytes(), host, &listed),
                expected,
                "{origin}"
            );
        }
        assert!(!allows(b"http://chat.example.org", None, &[]));
    }
}
