//! All routes, and what their handlers share.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::request::Parts;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use darda_core::Chat;
use darda_core::model::UserId;

use crate::auth::{AuthError, Authenticator};
use crate::http::{self, HttpRates, Readiness};
use crate::options::RouterOptions;
use crate::{limits, origin, socket};

/// What handlers share; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AppState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    chat: Chat,
    authenticator: Arc<dyn Authenticator>,
    options: RouterOptions,
    rates: HttpRates,
    readiness: Readiness,
}

impl AppState {
    fn new(chat: Chat, authenticator: Arc<dyn Authenticator>, options: RouterOptions) -> Self {
        let rates = HttpRates::new();
        let readiness = Readiness::default();
        Self(Arc::new(Shared {
            chat,
            authenticator,
            options,
            rates,
            readiness,
        }))
    }

    pub(crate) fn chat(&self) -> &Chat {
        &self.0.chat
    }

    pub(crate) fn options(&self) -> &RouterOptions {
        &self.0.options
    }

    pub(crate) fn rates(&self) -> &HttpRates {
        &self.0.rates
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    pub(crate) async fn authenticate(&self, request: &Parts) -> Result<UserId, AuthError> {
        self.0.authenticator.authenticate(request).await
    }
}

/// The whole server as a router, to be served by itself or merged into another app's. An app that
/// has a page or a fallback of its own takes it [`without_page`](RouterOptions::without_page): then
/// it has no fallback, and leaves `/` alone.
///
/// Start the chat with `Options::with_encoder(Encoder::new(darda_server::wire::encode_event))`, so
/// that events are encoded once for all nodes.
pub fn router(chat: Chat, authenticator: Arc<dyn Authenticator>, options: RouterOptions) -> Router {
    let state = AppState::new(chat, authenticator, options);
    let api = Router::new()
        .route("/ws", get(socket::upgrade))
        .route("/conversations", get(http::conversations))
        .route("/conversations/{conversation}/entries", get(http::entries))
        .route("/conversations/{conversation}/members", get(http::members))
        .route(
            "/conversations/{conversation}/receipts",
            get(http::receipts).put(http::mark),
        )
        .fallback(http::no_such_route)
        // Before the layers, which go around what is there by then: a preflight comes by no other way.
        .method_not_allowed_fallback(http::no_such_method)
        .layer(origin::share_with(state.options().allowed_origins.clone()))
        .layer(from_fn_with_state(state.clone(), origin::check));
    let mut router = operational(&state)
        .nest("/v1", api)
        .route("/openapi.json", get(http::openapi))
        .route("/docs", get(http::docs))
        .route("/docs/{file}", get(http::docs_file));
    if state.options().page {
        router = router
            .route("/", get(http::page))
            .route("/{*file}", get(http::page_file))
            .fallback(http::no_such_route);
    }
    router
        .method_not_allowed_fallback(http::no_such_method)
        .layer(from_fn(http::harden))
        .layer(from_fn_with_state(state.clone(), http::let_go))
        .layer(DefaultBodyLimit::max(limits::MAX_BODY_BYTES))
        .with_state(state)
}

/// Only `/healthz`, `/readyz` and `/metrics`: for a node that writes and serves nobody.
pub fn operations(chat: Chat, options: RouterOptions) -> Router {
    let state = AppState::new(chat, Arc::new(Nobody), options);
    operational(&state)
        .fallback(http::no_such_route)
        .method_not_allowed_fallback(http::no_such_method)
        .layer(from_fn(http::harden))
        .layer(from_fn_with_state(state.clone(), http::let_go))
        .with_state(state)
}

fn operational(state: &AppState) -> Router<AppState> {
    let router = Router::new()
        .route("/healthz", get(http::healthz))
        .route("/readyz", get(http::readyz));
    if state.options().metrics.is_some() {
        router.route("/metrics", get(http::metrics))
    } else {
        router
    }
}

#[derive(Debug)]
struct Nobody;

#[async_trait::async_trait]
impl Authenticator for Nobody {
    async fn authenticate(&self, _request: &Parts) -> Result<UserId, AuthError> {
        Err(AuthError::unauthenticated("this node serves nobody"))
    }
}
