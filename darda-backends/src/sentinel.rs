//! A Redis master with a replica, and a Sentinel that promotes it.

use std::time::Duration;

use crate::process::Process;
use crate::redis::cli;
use crate::root::{Folder, free_port};
use crate::{Redis, RedisOptions, Result};

/// What the master is called.
const NAME: &str = "chat";

/// A master, a replica, and one Sentinel that promotes the replica a second after the master died.
#[derive(Debug)]
pub struct Sentinel {
    // Dropped before its folder.
    _sentinel: Process,
    port: u16,
    folder: Folder,
    servers: [Redis; 2],
}

impl Sentinel {
    /// Starts the three.
    ///
    /// # Errors
    /// `Missing` without installed servers, `Failed` if they do not come up.
    pub async fn start() -> Result<Self> {
        let master = Redis::start(RedisOptions::default()).await?;
        let replica = Redis::start(RedisOptions::default().replica_of(master.port())).await?;
        let (folder, port) = (Folder::make("sentinel")?, free_port()?);
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {dir}\n\
             sentinel monitor {NAME} 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 3000\n",
            dir = folder.inside().display(),
            master = master.port(),
        );
        std::fs::write(folder.outside().join("sentinel.conf"), settings)?;
        let mut command = Process::inside(folder.root(), None);
        command
            .arg("redis-server")
            .arg(folder.inside().join("sentinel.conf"))
            .arg("--sentinel");
        let mut sentinel = Process::spawn("Sentinel", command, &folder.outside().join("log"))?;
        sentinel.until_logged("+monitor").await?;
        sentinel.until_logged("+slave").await?;
        Ok(Self {
            _sentinel: sentinel,
            port,
            folder,
            servers: [master, replica],
        })
    }

    /// The Sentinel's address and the master's name, as `host:port/name`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}/{NAME}", self.port)
    }

    /// The server that the Sentinel calls the master.
    ///
    /// # Errors
    /// `Failed` when it cannot be asked.
    pub async fn master(&mut self) -> Result<&mut Redis> {
        let said = cli(
            &self.folder,
            self.port,
            &["sentinel", "get-master-addr-by-name", NAME],
        )
        .await?;
        let is_master = |server: &Redis| said.lines().any(|line| line == server.port().to_string());
        let at = self.servers.iter().position(is_master).unwrap_or(0);
        Ok(&mut self.servers[at])
    }

    /// Kills the master, and waits until the other server has been promoted.
    ///
    /// # Errors
    /// `Failed` when nobody is promoted within half a minute.
    pub async fn fail_over(&mut self) -> Result<()> {
        let master = self.master().await?;
        let old = master.port();
        master.server().kill().await;
        for _ in 0..600 {
            let now = self.master().await?;
            if now.port() != old && now.cli(&["role"]).await?.starts_with("master") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(crate::StartError::Failed("nobody is promoted".to_owned()))
    }

    /// Both servers, master first at the start.
    pub fn servers(&mut self) -> &mut [Redis; 2] {
        &mut self.servers
    }
}
