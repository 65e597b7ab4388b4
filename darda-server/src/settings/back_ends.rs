//! Which port stands on which server.

use std::fmt;

use darda_core::adapter::{Identity, Redacted, Tls};

use super::values::{namespace, number, switch, wrong};
use super::{Setting, WrongSetting};

/// The implementation of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this process.
    Memory,
    /// A real server.
    Server(Server),
}

/// A real server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Its URL, with its password.
    pub url: String,
    /// How the connections are encrypted.
    pub tls: Tls,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &Redacted(&self.url))
            .field("tls", &self.tls)
            .finish()
    }
}

/// What the four ports stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackEnds {
    /// The broker.
    pub broker: Place,
    /// The store.
    pub store: Place,
    /// The cache.
    pub cache: Place,
    /// The registry; `None` is the cache's server.
    pub registry: Option<Place>,
    /// Begins the names of what is kept there.
    pub namespace: String,
    /// Durable queues.
    pub persist_queues: u16,
}

/// The settings of one server.
struct Names {
    place: Setting,
    authorities: Setting,
    certificates: Setting,
    key: Setting,
    verify: Setting,
    schemes: &'static [&'static str],
}

const BROKER: Names = Names {
    place: super::BROKER,
    authorities: super::BROKER_CA_FILE,
    certificates: super::BROKER_CERTIFICATE_FILE,
    key: super::BROKER_KEY_FILE,
    verify: super::BROKER_VERIFY,
    schemes: &["amqp", "amqps"],
};
const STORE: Names = Names {
    place: super::STORE,
    authorities: super::STORE_CA_FILE,
    certificates: super::STORE_CERTIFICATE_FILE,
    key: super::STORE_KEY_FILE,
    verify: super::STORE_VERIFY,
    schemes: &["mongodb", "mongodb+srv"],
};
const CACHE: Names = Names {
    place: super::CACHE,
    authorities: super::CACHE_CA_FILE,
    certificates: super::CACHE_CERTIFICATE_FILE,
    key: super::CACHE_KEY_FILE,
    verify: super::CACHE_VERIFY,
    schemes: &[
        "redis",
        "rediss",
        "redis+sentinel",
        "rediss+sentinel",
        "redis+cluster",
        "rediss+cluster",
    ],
};
/// The registry is shown and believed the same as the cache.
const REGISTRY: Names = Names {
    place: super::REGISTRY,
    ..CACHE
};

type Text<'a> = &'a dyn Fn(Setting) -> Result<String, WrongSetting>;

impl BackEnds {
    pub(super) fn read(text: Text<'_>) -> Result<Self, WrongSetting> {
        let registry = match text(super::REGISTRY)?.as_str() {
            "cache" => None,
            value => Some(REGISTRY.server(value, text)?),
        };
        let cache = CACHE.server(&text(super::CACHE)?, text)?;
        if cache == Place::Memory && !matches!(registry, Some(Place::Server(_))) {
            CACHE.refuse_tls(text, "there is no server to connect to")?;
        }
        let broker = BROKER.server(&text(super::BROKER)?, text)?;
        let store = STORE.server(&text(super::STORE)?, text)?;
        for (place, names) in [(&broker, BROKER), (&store, STORE)] {
            if *place == Place::Memory {
                names.refuse_tls(text, "there is no server to connect to")?;
            }
        }
        Ok(Self {
            broker,
            store,
            cache,
            registry,
            namespace: namespace(super::NAMESPACE, &text(super::NAMESPACE)?)?,
            persist_queues: persist_queues(&text(super::PERSIST_QUEUES)?)?,
        })
    }
}

fn persist_queues(value: &str) -> Result<u16, WrongSetting> {
    let most = darda_core::model::limits::SHARDS;
    number(super::PERSIST_QUEUES, value, 1, usize::from(most)).map(|queues| queues as u16)
}

impl Names {
    fn server(&self, value: &str, text: Text<'_>) -> Result<Place, WrongSetting> {
        if value == "memory" {
            return Ok(Place::Memory);
        }
        let scheme = value.split_once("://").map(|(scheme, _)| scheme);
        let Some(scheme) = scheme.filter(|scheme| self.schemes.contains(scheme)) else {
            let known: Vec<_> = self
                .schemes
                .iter()
                .map(|known| format!("`{known}://`"))
                .collect();
            let reason = format!("must be `memory` or a URL with one of {}", known.join(", "));
            return Err(wrong(self.place, &Redacted(value).to_string(), reason));
        };
        if !is_encrypted(scheme, value) {
            self.refuse_tls(text, "the URL says that nothing is encrypted")?;
        }
        Ok(Place::Server(Server {
            url: value.to_owned(),
            tls: self.tls(text)?,
        }))
    }

    fn tls(&self, text: Text<'_>) -> Result<Tls, WrongSetting> {
        let mut tls = Tls::default();
        let authorities = text(self.authorities)?;
        if !authorities.is_empty() {
            tls = tls.with_authorities(authorities);
        }
        let (certificates, key) = (text(self.certificates)?, text(self.key)?);
        tls = match (certificates.is_empty(), key.is_empty()) {
            (true, true) => tls,
            (false, false) => tls.with_identity(Identity {
                certificates: certificates.into(),
                key: key.into(),
            }),
            (true, false) => {
                return Err(wrong(self.key, &key, "the certificate's file is missing"));
            }
            (false, true) => {
                return Err(wrong(
                    self.certificates,
                    &certificates,
                    "the key's file is missing",
                ));
            }
        };
        if switch(self.verify, &text(self.verify)?)? {
            Ok(tls)
        } else {
            Ok(tls.without_verification())
        }
    }

    /// A setting that is meant to protect and does nothing is an error.
    fn refuse_tls(&self, text: Text<'_>, reason: &str) -> Result<(), WrongSetting> {
        for setting in [self.authorities, self.certificates, self.key, self.verify] {
            let value = text(setting)?;
            if value != setting.default {
                return Err(wrong(setting, &value, reason));
            }
        }
        Ok(())
    }
}

fn is_encrypted(scheme: &str, url: &str) -> bool {
    let options = url.split_once('?').map_or("", |(_, options)| options);
    let option = |wanted: &str| options.split('&').any(|option| option == wanted);
    match scheme {
        "mongodb" => option("tls=true") || option("ssl=true"),
        // Its default.
        "mongodb+srv" => !option("tls=false") && !option("ssl=false"),
        scheme => scheme.starts_with("amqps") || scheme.starts_with("rediss"),
    }
}
