//! What the server holds, over HTTP.

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::Result;

/// An entry as history has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) entry: String,
    pub(crate) sender: String,
    pub(crate) text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Page {
    entries: Vec<Entry>,
    more: bool,
    #[serde(default)]
    stale: bool,
}

/// A conversation's whole history, as a member sees it; `None`: it cannot be had now.
pub(crate) async fn history(
    port: u16,
    user: &str,
    conversation: &str,
) -> Result<Option<Vec<Entry>>> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.position);
        let path =
            format!("/v1/conversations/{conversation}/entries?id={user}&after={after}&limit=200");
        let (status, body) = get(port, &path).await?;
        if status != 200 {
            return Ok(None);
        }
        let page: Page = serde_json::from_slice(&body)?;
        entries.extend(page.entries);
        if page.stale {
            return Ok(None);
        }
        if !page.more {
            return Ok(Some(entries));
        }
    }
}

async fn get(port: u16, path: &str) -> Result<(u16, Bytes)> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let host = format!("127.0.0.1:{port}");
    let request = Request::get(path)
        .header("host", host)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
