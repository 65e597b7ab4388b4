//! A URL that may be logged.

use std::fmt;

/// Shows a URL without its user information and its options, where secrets stand.
///
/// ```
/// use darda_core::adapter::Redacted;
///
/// let url = "amqps://chat:s3cret@mq.example.org:5671/main?password=x";
/// assert_eq!(Redacted(url).to_string(), "amqps://mq.example.org:5671/main");
/// ```
#[derive(Clone, Copy)]
pub struct Redacted<'a>(pub &'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, self.0),
        };
        // A password may hold `?`, `#` and `/` unescaped by mistake: the last `@` ends it.
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        match scheme {
            Some(scheme) => write!(f, "{scheme}://{rest}"),
            None => f.write_str(rest),
        }
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Redacted;

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for (url, shown) in [
            ("redis://:p@ss@host:6379/0", "redis://host:6379/0"),
            ("mongodb://u:p@a:1,b:2/?tls=true", "mongodb://a:1,b:2/"),
            ("redis://host", "redis://host"),
            ("u:p/?#@host", "host"),
            ("", ""),
        ] {
            assert_eq!(Redacted(url).to_string(), shown);
            assert_eq!(format!("{:?}", Redacted(url)), shown);
        }
    }
}
