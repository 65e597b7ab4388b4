//! The names of the server's own metrics; those of the engine are in [`darda_core::observe`].

macro_rules! metric {
    ($($name:ident = $text:literal, $doc:literal;)*) => {
        $(#[doc = $doc] pub const $name: &str = $text;)*

        /// Every name with what it says.
        pub const ALL: &[(&str, &str)] = &[$(($text, $doc)),*];
    };
}

metric! {
    CONNECTIONS = "darda_connections", "Open WebSocket connections.";
    SOCKETS = "darda_sockets", "Open TCP connections, WebSocket or not.";
    SOCKETS_REFUSED = "darda_sockets_refused_total", "TCP connections closed at once: too many.";
    HTTP_LIMITED = "darda_http_limited_total", "HTTP requests refused by the rate limit.";
}
