//! TLS as the driver wants it: an authority's file, and one file with the client's certificate and
//! key.

use std::io::Write;
use std::path::Path;

use darda_core::adapter::{Identity, Tls};
use darda_core::{Error, Result};
use mongodb::options::{Tls as DriverTls, TlsOptions};
use tempfile::NamedTempFile;

use crate::error::invalid;

/// The driver's options, and the file that they name and that is ours.
#[derive(Debug)]
pub(crate) struct Encryption {
    pub(crate) options: DriverTls,
    /// The driver reads it again whenever it meets a new server: it lives as long as the client.
    pub(crate) identity: Option<NamedTempFile>,
}

/// Joins our options with those of the URL; ours count where they say something.
pub(crate) fn encryption(tls: &Tls, url: Option<DriverTls>) -> Result<Option<Encryption>> {
    let Some(DriverTls::Enabled(mut options)) = url else {
        return if *tls == Tls::default() {
            Ok(None)
        } else {
            let message = "TLS is set up, but the URL of mongodb does not say tls=true";
            Err(invalid(message))
        };
    };
    if let Some(authorities) = tls.authorities() {
        options.ca_file_path = Some(authorities.to_owned());
    } else if options.ca_file_path.is_none() {
        // Without one, the driver believes the list that it was built with.
        options.ca_file_path = openssl_probe::probe().cert_file;
    }
    // The driver passes over what is no certificate, and would believe nobody.
    if let Some(authorities) = &options.ca_file_path {
        read_pem(authorities, "CERTIFICATE-----")?;
    }
    let identity = tls.identity().map(joined).transpose()?;
    if let Some(identity) = &identity {
        options.cert_key_file_path = Some(identity.path().to_owned());
    }
    if !tls.is_verified() {
        options.allow_invalid_certificates = Some(true);
    }
    Ok(Some(Encryption {
        options: DriverTls::Enabled(options),
        identity,
    }))
}

/// Whether any server is believed.
pub(crate) fn is_unverified(options: &DriverTls) -> bool {
    matches!(options, DriverTls::Enabled(TlsOptions { allow_invalid_certificates, .. })
        if allow_invalid_certificates.unwrap_or_default())
}

/// The client's certificates and key in one file, which only this user can read.
fn joined(identity: &Identity) -> Result<NamedTempFile> {
    let certificates = read_pem(&identity.certificates, "CERTIFICATE-----")?;
    let key = read_pem(&identity.key, "PRIVATE KEY-----")?;
    let write = || {
        let mut file = NamedTempFile::with_prefix("darda-")?;
        file.write_all(certificates.as_bytes())?;
        if identity.key != identity.certificates {
            file.write_all(b"\n")?;
            file.write_all(key.as_bytes())?;
        }
        file.flush()?;
        Ok(file)
    };
    write().map_err(|error: std::io::Error| {
        invalid("the client's certificate could not be handed on").with_source(error)
    })
}

/// The text of a PEM file that holds at least one such section.
fn read_pem(path: &Path, section: &str) -> Result<String> {
    let unusable = |why: &str| -> Error { invalid(format!("{}: {why}", path.display())) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| unusable("cannot be read").with_source(error))?;
    if !text.contains(section) {
        return Err(unusable("is no PEM file of the right kind"));
    }
    Ok(text)
}
