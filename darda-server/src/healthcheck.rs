//! `darda-server healthcheck`: asks a running server whether it is well, for images that hold nothing
//! else to ask with.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long the whole of it may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// All that is read of an answer: its first line is what counts.
const HEAD_BYTES: u64 = 512;

/// Where to ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    authority: String,
    path: String,
}

impl Question {
    /// Whether the server that listens here is alive.
    pub(crate) fn to_own(listen: SocketAddr) -> Self {
        let address = match listen.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => (Ipv4Addr::LOCALHOST, listen.port()).into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => (Ipv6Addr::LOCALHOST, listen.port()).into(),
            _ => listen,
        };
        Self {
            authority: address.to_string(),
            path: "/healthz".to_owned(),
        }
    }

    /// What `http://HOST:PORT/PATH` names.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("{url:?} must be http://HOST:PORT/PATH");
        let (authority, path) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(wrong)?;
        if !authority.contains(':') || path.contains([' ', '\r', '\n']) {
            return Err(wrong());
        }
        Ok(Self {
            authority: authority.to_owned(),
            path: format!("/{path}"),
        })
    }

    /// Asks. The status line if it is not 200, or why there is none, is the error.
    pub(crate) fn ask(&self) -> Result<(), String> {
        let status = self
            .status_line()
            .map_err(|error| format!("{}: {error}", self.authority))?;
        if status.split_ascii_whitespace().nth(1) == Some("200") {
            Ok(())
        } else {
            Err(format!("{}{}: {status}", self.authority, self.path))
        }
    }

    fn status_line(&self) -> io::Result<String> {
        let until = Instant::now() + PATIENCE;
        let mut stream = self.connect(until)?;
        stream.set_write_timeout(Some(left(until)?))?;
        write!(
            stream,
            "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.path, self.authority
        )?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\n") && (head.len() as u64) < HEAD_BYTES {
            stream.set_read_timeout(Some(left(until)?))?;
            if stream.read(&mut byte)? == 0 {
                break;
            }
            head.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&head).trim().to_owned())
    }

    fn connect(&self, until: Instant) -> io::Result<TcpStream> {
        let mut last = io::ErrorKind::NotFound.into();
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(until)?) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::Question;

    fn question(authority: &str, path: &str) -> Question {
        Question {
            authority: authority.to_owned(),
            path: path.to_owned(),
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_the_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            let listen = listen.parse().map(Question::to_own);
            assert_eq!(listen, Ok(question(asked, "/healthz")));
        }
    }

    #[test]
    fn another_server_is_named_by_its_url() {
        let asked = Question::parse("http://chat-service:8080/readyz");
        assert_eq!(asked, Ok(question("chat-service:8080", "/readyz")));
        for wrong in [
            "https://chat:8080/",
            "http://chat:8080",
            "http://chat/",
            "chat",
            "http://chat:80/a b",
        ] {
            assert!(Question::parse(wrong).is_err(), "{wrong}");
        }
    }
}
