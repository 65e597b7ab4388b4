//! The command `darda`: to talk, to look, and to measure.

mod chat;
mod load;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use darda_client::{Client, FileStorage, MemoryStorage, Settings, Tls, Updates};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

/// Chat with a Darda server, look at what it says, and measure it.
#[derive(Debug, Parser)]
#[command(name = "darda", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Talk in a terminal: each line is a message.
    Chat {
        #[command(flatten)]
        who: Who,
        /// The other user.
        #[arg(long, required_unless_present = "conversation")]
        to: Option<String>,
        /// A conversation, such as a group, by its id.
        #[arg(long, conflicts_with = "to")]
        conversation: Option<String>,
    },
    /// Print everything that a user gets, one line each, until it is interrupted.
    Tail {
        #[command(flatten)]
        who: Who,
    },
    /// Send one message, and wait until the server has it.
    Send {
        #[command(flatten)]
        who: Who,
        /// The other user.
        #[arg(long, required_unless_present = "conversation")]
        to: Option<String>,
        /// A conversation, such as a group, by its id.
        #[arg(long, conflicts_with = "to")]
        conversation: Option<String>,
        /// How long it may take, in seconds.
        #[arg(long, default_value_t = 30)]
        within: u64,
        /// The text.
        text: String,
    },
    /// Put a load on a server, and say how long everything took.
    Load(load::Options),
}

/// Who one is, and where the server is.
#[derive(Debug, Args)]
struct Who {
    /// The user. The development server believes it.
    #[arg(long = "as")]
    user: String,
    /// The server: `ws://HOST` or `wss://HOST`.
    #[arg(long, default_value = "ws://127.0.0.1:8080")]
    server: String,
    /// The whole address of the socket, for a server that wants more than a name; `--as` then only names
    /// the user here.
    #[arg(long)]
    url: Option<String>,
    /// A directory that keeps cursors and unsent messages; in memory if it is not named.
    #[arg(long)]
    state: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

/// Whom `wss://` believes.
#[derive(Debug, Clone, Args)]
struct Trust {
    /// A file of authorities' certificates, in PEM, that `wss://` believes besides the system's.
    #[arg(long)]
    ca: Option<PathBuf>,
}

impl Trust {
    fn tls(&self) -> Result<Tls> {
        let Some(path) = &self.ca else {
            return Ok(Tls::default());
        };
        let read = std::fs::read(path).map_err(Failure::from);
        let tls = read.and_then(|pem| Ok(Tls::default().with_authorities_pem(&pem)?));
        tls.map_err(|error| format!("{}: {error}", path.display()).into())
    }
}

impl Who {
    async fn connect(&self) -> Result<(Client, Updates)> {
        let url = self.url.clone();
        let url = url.unwrap_or_else(|| address(&self.server, &self.user));
        let settings = Settings::new(url).with_tls(self.trust.tls()?);
        Ok(match &self.state {
            Some(directory) => Client::start(settings, FileStorage::open(directory).await?).await?,
            None => Client::start(settings, MemoryStorage::new()).await?,
        })
    }
}

/// The development server's address for a user.
fn address(server: &str, user: &str) -> String {
    let server = server.trim_end_matches('/');
    format!("{server}/v1/ws?id={user}")
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Chat {
            who,
            to,
            conversation,
        } => chat::chat(&who, to, conversation).await,
        Command::Tail { who } => chat::tail(&who).await,
        Command::Send {
            who,
            to,
            conversation,
            within,
            text,
        } => chat::send(&who, to, conversation, within, text).await,
        Command::Load(options) => load::load(options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "what this program is for")]
fn complain(line: &str) {
    eprintln!("darda: {line}");
}
