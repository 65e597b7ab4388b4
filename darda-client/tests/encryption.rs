//! `wss://`: whom a client believes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/encryption.rs"]
mod encryption;
mod support;

use darda_client::{Connection, ErrorKind, Tls};
use encryption::encryption;
use support::Server;

#[tokio::test]
async fn a_server_with_an_added_authority_is_believed() {
    let (encryption, certificate) = encryption();
    let server = Server::start().await.with_encryption(encryption);
    let tls = Tls::default().with_authorities_pem(certificate.as_bytes());
    let (tls, url) = (tls.unwrap(), server.url());
    let (connection, _line) = tokio::join!(Connection::open(&url, &tls), server.accept());
    assert_eq!(connection.unwrap().hello().user.as_str(), "alice");
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not() {
    let (encryption, _) = encryption();
    let server = Server::start().await.with_encryption(encryption);
    let (url, tls) = (server.url(), Tls::default());
    let (connection, ()) = tokio::join!(Connection::open(&url, &tls), server.is_refused());
    assert_eq!(connection.unwrap_err().kind(), ErrorKind::Connect);
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n%%%\n"] {
        let tls = Tls::default().with_authorities_pem(pem.as_bytes());
        assert_eq!(tls.unwrap_err().kind(), ErrorKind::Invalid, "{pem:?}");
    }
}
