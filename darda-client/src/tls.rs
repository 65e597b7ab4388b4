//! `wss://`: TLS by rustls, the system's authorities and those of the settings.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config, tungstenite,
};

use crate::settings::Tls;
use crate::{Error, ErrorKind, Result};

pub(crate) fn connector(tls: &Tls) -> Result<Connector> {
    let mut roots = RootCertStore::empty();
    // A system without authorities is none that the settings cannot add to.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for authority in &tls.authorities {
        roots
            .add(CertificateDer::from(authority.clone()))
            .map_err(|error| {
                Error::caused(ErrorKind::Invalid, "an authority cannot be read", error)
            })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::caused(ErrorKind::Invalid, "TLS cannot be set up", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}

pub(crate) async fn handshake(
    request: Request,
    stream: TcpStream,
    config: WebSocketConfig,
    connector: Option<Connector>,
) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, Response), tungstenite::Error> {
    let connector = connector.unwrap_or(Connector::Plain);
    client_async_tls_with_config(request, stream, Some(config), Some(connector)).await
}
