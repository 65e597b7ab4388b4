//! How a connection to a real server is encrypted and who is believed.

use std::path::{Path, PathBuf};

/// Encryption of the connections to one real server. Whether there is any is said by the URL's
/// scheme (`amqps`, `rediss`) or its option (`tls=true` for MongoDB).
///
/// By default the server's certificate is checked against the system's authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    authorities: Option<PathBuf>,
    identity: Option<Identity>,
    verified: bool,
}

/// The client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// A PEM file with the certificate and those between it and the authority's.
    pub certificates: PathBuf,
    /// A PEM file with the private key. It is read once and never logged.
    pub key: PathBuf,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            authorities: None,
            identity: None,
            verified: true,
        }
    }
}

impl Tls {
    /// A PEM file with the authorities that are believed, instead of the system's.
    #[must_use]
    pub fn with_authorities(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities = Some(file.into());
        self
    }

    /// The certificate that the server is shown.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Believes any server, whatever its certificate and name: whoever sits between can read and
    /// change everything. For experiments; an adapter warns of it at every start.
    #[must_use]
    pub fn without_verification(mut self) -> Self {
        self.verified = false;
        self
    }

    /// The file of the authorities, if it is not the system's.
    #[must_use]
    pub fn authorities(&self) -> Option<&Path> {
        self.authorities.as_deref()
    }

    /// The certificate that the server is shown.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether the server's certificate and name are checked.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified
    }
}
