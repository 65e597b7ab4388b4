//! An app that is restarted while it is offline: what was sent waits in a directory, and goes out once.
//!
//! It talks to the program `darda-server`: the one that `DARDA_SERVER` names, else the one beside it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use darda_client::{Client, FileStorage, MemoryStorage, Settings, Start, State, Update};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<()> {
    let server = Server::start()?;
    let directory = tempfile::tempdir()?;

    // Bob listens, from the first entry on.
    let settings = Settings::new(server.url("bob")).with_start(Start::Beginning);
    let (bob, mut updates) = Client::start(settings, MemoryStorage::new()).await?;

    // Alice says something, and closes the app.
    let storage = FileStorage::open(directory.path()).await?;
    let (alice, _) = Client::start(Settings::new(server.url("alice")), storage).await?;
    let conversation = alice.open_direct("bob").await?;
    alice.send(&conversation, "first").await?.acked().await?;
    alice.close().await;

    // Without a network she writes, and the app is ended before anything went out.
    let storage = FileStorage::open(directory.path()).await?;
    let nowhere = Settings::new("ws://127.0.0.1:9/v1/ws?id=alice");
    let (alice, _) = Client::start(nowhere, storage).await?;
    alice.send(&conversation, "written offline").await?;
    let status = alice
        .wait_for(|status| status.state == State::Offline)
        .await?;
    println!("alice: {status}");
    alice.close().await;

    // The next start takes it to the server.
    let storage = FileStorage::open(directory.path()).await?;
    let (alice, _) = Client::start(Settings::new(server.url("alice")), storage).await?;
    let mut texts = Vec::new();
    while texts.len() < 2 {
        let Some(update) = updates.next().await else {
            break;
        };
        if let Update::Entry { entry, .. } = update {
            println!("bob reads: {:?}", entry.body.text());
            texts.extend(entry.body.text().map(ToOwned::to_owned));
        }
    }
    assert_eq!(texts, ["first", "written offline"]);
    alice.close().await;
    bob.close().await;
    Ok(())
}

/// A server in memory, on a free port.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Result<Self> {
        let beside = std::env::current_exe()?.with_file_name("../darda-server");
        let program = std::env::var_os("DARDA_SERVER").unwrap_or(beside.into());
        let mut child = Command::new(program)
            .env("DARDA_LISTEN", "127.0.0.1:0")
            .env("DARDA_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .ok_or("the server does not listen")?
            .to_owned();
        Ok(Self { child, address })
    }

    fn url(&self, user: &str) -> String {
        format!("ws://{}/v1/ws?id={user}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
