//! `wss://`: TLS by rustls, the system's authorities and those of the settings.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config, tungstenite,
};

use crate::settings::Tls;
use crate::{Error, ErrorKind, Result};

impl Tls {
    /// Believes authorities besides the system's: their certificates in PEM, at least one.
    ///
    /// # Errors
    /// `Invalid` where there is none, or one that cannot be read.
    pub fn with_authorities_pem(mut self, pem: &[u8]) -> Result<Self> {
        let before = self.authorities.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            self.authorities
                .push(certificate.map_err(unreadable)?.to_vec());
        }
        if self.authorities.len() == before {
            let message = "there is no certificate of an authority in it";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(self)
    }

    /// For tools that open sockets of their own.
    ///
    /// # Errors
    /// `Invalid` where an authority cannot be read.
    #[cfg(feature = "cli")]
    pub fn rustls(&self) -> Result<Arc<ClientConfig>> {
        client_config(self)
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::caused(ErrorKind::Invalid, "an authority cannot be read", error)
}

pub(crate) fn connector(tls: &Tls) -> Result<Connector> {
    Ok(Connector::Rustls(client_config(tls)?))
}

fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    // A system without authorities is none that the settings cannot add to.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for authority in &tls.authorities {
        roots
            .add(CertificateDer::from(authority.clone()))
            .map_err(unreadable)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::caused(ErrorKind::Invalid, "TLS cannot be set up", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
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
