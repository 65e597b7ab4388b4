//! TLS to the server. The driver's own knows no connection without verification and believes the
//! system's authorities besides those of a file, so it is handed a connector made here.

use std::path::Path;
use std::sync::Arc;

use darda_core::adapter::{Identity, Tls};
use darda_core::{Error, ErrorKind, Result};
use lapin::tcp::RustlsConnector;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Reads the files.
pub(crate) fn connector(tls: &Tls) -> Result<RustlsConnector> {
    // Whoever embeds this may have chosen a library for the whole process.
    let chosen = CryptoProvider::get_default().cloned();
    let crypto = chosen.unwrap_or_else(|| Arc::new(crypto::ring::default_provider()));
    let config = ClientConfig::builder_with_provider(crypto.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS cannot be used").with_source(error))?;
    let config = if tls.is_verified() {
        config.with_root_certificates(authorities(tls.authorities())?)
    } else {
        config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(crypto)))
    };
    Ok(match tls.identity() {
        Some(identity) => identified(config, identity)?,
        None => config.with_no_client_auth(),
    }
    .into())
}

/// Those of the file, or else the system's.
fn authorities(file: Option<&Path>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in certificates(file)? {
            store
                .add(certificate)
                .map_err(|error| unusable(file).with_source(error))?;
        }
        return Ok(store);
    }
    let system = rustls_native_certs::load_native_certs();
    let (believed, _) = store.add_parsable_certificates(system.certs);
    if believed == 0 {
        tracing::warn!(
            errors = ?system.errors,
            "no authority was found on this system: rabbitmq will not be believed"
        );
    }
    Ok(store)
}

fn identified(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: &Identity,
) -> Result<ClientConfig> {
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|error| unusable(&identity.key).with_source(error))?;
    config
        .with_client_auth_cert(certificates(&identity.certificates)?, key)
        .map_err(|error| invalid("the client's certificate cannot be used").with_source(error))
}

/// At least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || {
        let found = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() {
            return Err(pem::Error::NoItemsFound);
        }
        Ok(found)
    };
    read().map_err(|error| unusable(file).with_source(error))
}

fn unusable(file: &Path) -> Error {
    invalid(&format!("file {} cannot be used", file.display()))
}

pub(crate) fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("rabbitmq: {message}"))
}

/// Believes every certificate, whatever name it bears. That the server holds the certificate's key is
/// still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl AnyCertificate {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.0.signature_verification_algorithms
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}
