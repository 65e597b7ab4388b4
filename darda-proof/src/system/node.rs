//! A `darda-server` process: it can be killed, hung and asked to stop, and dies with us.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use darda_backends::Watcher;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::Result;

/// How long a node may take to listen: it waits for its back ends at most 10 s.
const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running node.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    child: Child,
    _watcher: Watcher,
    address: SocketAddr,
}

/// The server's binary: what `DARDA_SERVER` names, else the one beside this program.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DARDA_SERVER") {
        return Ok(path.into());
    }
    let beside = std::env::current_exe()?.with_file_name("darda-server");
    if beside.exists() {
        return Ok(beside);
    }
    let path = beside.display();
    Err(format!("{path} is missing: build it, or name it in DARDA_SERVER").into())
}

impl Node {
    /// Starts a node and waits until it listens.
    pub(crate) async fn start(
        binary: &Path,
        name: &str,
        settings: Vec<(&'static str, String)>,
        log: &Path,
    ) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        // Nothing of our own environment sets it up.
        let inherited = std::env::vars_os().filter(|(key, _)| {
            key.to_str()
                .is_none_or(|key| !key.starts_with("DARDA_") || key == "DARDA_LOG")
        });
        let said = log.with_extension("said");
        let mut child = Command::new(binary)
            .env_clear()
            .envs(inherited)
            .env("DARDA_LISTEN", "127.0.0.1:0")
            .env("DARDA_RATE_LIMITS", "off")
            .env("DARDA_HEARTBEAT_MS", "5000")
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(File::create(log)?)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let watcher = Watcher::over(&child)?;
        let began = Instant::now();
        let address = loop {
            let mut text = String::new();
            File::open(&said)?.read_to_string(&mut text)?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("listening on http://"));
            if let Some(address) = line {
                break address.parse()?;
            }
            if let Some(status) = child.try_wait()? {
                return Err(format!(
                    "{name} ended at its start with {status}: see {}",
                    log.display()
                )
                .into());
            }
            if began.elapsed() > START {
                return Err(format!("{name} does not listen: see {}", log.display()).into());
            }
            sleep(POLL).await;
        };
        Ok(Self {
            name: name.to_owned(),
            child,
            _watcher: watcher,
            address,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(crate) fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Kills it with SIGKILL. An error if it had ended before, by itself.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("{} had ended by itself: {status}", self.name).into());
        }
        self.signal(Signal::KILL)?;
        self.ended(Duration::from_secs(10)).await.map(drop)
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > within {
                return Err(format!("{} does not end within {within:?}", self.name).into());
            }
            sleep(POLL).await;
        }
    }

    /// Its resident memory in MiB; 0 when it is gone.
    pub(crate) fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended before; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
