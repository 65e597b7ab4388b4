//! One Redis server.

use crate::process::Process;
use crate::root::{Folder, free_port};
use crate::{Certificates, Result, StartError};

/// What a Redis server is started with.
#[derive(Debug, Default)]
pub struct RedisOptions {
    persistent: bool,
    tls: bool,
    client_certificate: bool,
    replica_of: Option<u16>,
    cluster: bool,
    settings: Vec<(String, String)>,
}

impl RedisOptions {
    /// Keeps its data in an append-only file, so that it comes back with all that it answered to.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Speaks TLS only, with [`Redis::certificates`].
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Speaks TLS only, and demands the client's certificate.
    #[must_use]
    pub fn with_client_certificate(mut self) -> Self {
        self.tls = true;
        self.client_certificate = true;
        self
    }

    /// Copies the server at this port.
    #[must_use]
    pub fn replica_of(mut self, port: u16) -> Self {
        self.replica_of = Some(port);
        self
    }

    pub(crate) fn in_cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// Any directive of `redis.conf`: `maxmemory`, `64mb`.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One Redis server of a test's own.
#[derive(Debug)]
pub struct Redis {
    // Dropped before its folder.
    server: Process,
    options: RedisOptions,
    certificates: Option<Certificates>,
    port: u16,
    folder: Folder,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Errors
    /// `Missing` without installed servers, `Failed` if it does not come up.
    pub async fn start(options: RedisOptions) -> Result<Self> {
        let folder = Folder::make("redis")?;
        let port = free_port()?;
        let certificates = options.tls.then(Certificates::new).transpose()?;
        let server = run(&options, certificates.as_ref(), port, &folder).await?;
        Ok(Self {
            server,
            options,
            certificates,
            port,
            folder,
        })
    }

    /// Starts a server that was killed, on the same port; with its data if it is persistent.
    ///
    /// # Errors
    /// `Failed` if it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.kill().await;
        let certificates = self.certificates.as_ref();
        self.server = run(&self.options, certificates, self.port, &self.folder).await?;
        Ok(())
    }

    /// Its process.
    pub fn server(&mut self) -> &mut Process {
        &mut self.server
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificates of a server with TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Runs `redis-cli` against it and returns what it prints. Not with TLS.
    ///
    /// # Errors
    /// `Failed` when the command is refused.
    pub async fn cli(&self, arguments: &[&str]) -> Result<String> {
        cli(&self.folder, self.port, arguments).await
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }
}

async fn run(
    options: &RedisOptions,
    certificates: Option<&Certificates>,
    port: u16,
    folder: &Folder,
) -> Result<Process> {
    let mut command = Process::inside(folder.root(), None);
    let port = port.to_string();
    let inside = folder.inside();
    command.args(["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir"]);
    command.arg(inside);
    // A replica comes up with a copy at once instead of in five seconds.
    command.args(["--repl-diskless-sync-delay", "0"]);
    if options.persistent {
        // A second apart, it answers while the file waits for the disk.
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    }
    if options.cluster {
        command.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
    }
    if let Some(master) = options.replica_of {
        command.args(["--replicaof", &format!("127.0.0.1 {master}")]);
    }
    if let Some(certificates) = certificates {
        let demanded = if options.client_certificate {
            "yes"
        } else {
            "no"
        };
        command.args([
            "--port",
            "0",
            "--tls-port",
            &port,
            "--tls-auth-clients",
            demanded,
        ]);
        for (setting, file) in [
            ("--tls-ca-cert-file", certificates.authority()),
            ("--tls-cert-file", certificates.server()),
            ("--tls-key-file", certificates.server_key()),
        ] {
            command.arg(setting).arg(folder.take_in(&file)?);
        }
    } else {
        command.args(["--port", &port]);
    }
    for (name, value) in &options.settings {
        command.args([&format!("--{name}"), value]);
    }
    let mut server = Process::spawn("Redis", command, &folder.outside().join("log"))?;
    server.until_logged("Ready to accept connections").await?;
    Ok(server)
}

pub(crate) async fn cli(folder: &Folder, port: u16, arguments: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new("chroot")
        .arg(folder.root())
        .args([
            "redis-cli",
            "-e",
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ])
        .args(arguments)
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        let error = String::from_utf8_lossy(&output.stderr);
        Err(StartError::Failed(format!(
            "redis-cli {arguments:?}: {text}{error}"
        )))
    }
}
