//! The reference server of Darda: chat over WebSocket and HTTP.
//!
//! [`router`] is the whole server as an [axum](https://docs.rs/axum) router, to be served by
//! [`serve`](serve()) or mounted in another app, with an [`Authenticator`] of the app's own. The
//! binary `darda-server` is that with the [`settings`] of its environment.
//!
//! The socket's protocol is described in `docs/protocol.md`; [`wire`] is its encoding.

mod auth;
mod error;
mod http;
pub mod limits;
pub mod observe;
mod options;
mod origin;
mod router;
mod serve;
pub mod settings;
mod socket;
pub mod wire;

pub use auth::{AuthError, Authenticator, DevAuthenticator};
pub use error::{Code, Failure};
pub use http::openapi_document;
pub use options::{MetricsSource, RouterOptions};
pub use router::{operations, router};
pub use serve::{ServeOptions, serve};
pub use socket::Close;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
