//! A MongoDB-compatible database: FerretDB on PostgreSQL with DocumentDB.

use std::process::Command;

use crate::process::Process;
use crate::root::{Folder, ferretdb, free_port};
use crate::{Certificates, Result};

/// What the database is started with.
#[derive(Debug, Default)]
pub struct MongoOptions {
    tls: bool,
    client_certificate: bool,
}

impl MongoOptions {
    /// Speaks TLS only, with [`Mongo::certificates`].
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
}

/// A database of a test's own: FerretDB is what clients meet, PostgreSQL keeps the data.
#[derive(Debug)]
pub struct Mongo {
    // Dropped before the folder.
    front: Process,
    keeper: Process,
    options: MongoOptions,
    certificates: Option<Certificates>,
    port: u16,
    keeper_port: u16,
    folder: Folder,
}

impl Mongo {
    /// Starts a database; about three seconds.
    ///
    /// # Errors
    /// `Missing` without installed servers, `Failed` if it does not come up.
    pub async fn start(options: MongoOptions) -> Result<Self> {
        ferretdb()?;
        let folder = Folder::make("mongo")?;
        let (port, keeper_port) = (free_port()?, free_port()?);
        let certificates = options.tls.then(Certificates::new).transpose()?;
        initialise(&folder, keeper_port).await?;
        let keeper = run_keeper(&folder, keeper_port).await?;
        let front = run_front(&options, certificates.as_ref(), &folder, port, keeper_port).await?;
        Ok(Self {
            front,
            keeper,
            options,
            certificates,
            port,
            keeper_port,
            folder,
        })
    }

    /// Starts what does not run, with its data.
    ///
    /// # Errors
    /// `Failed` if it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        if !self.keeper.is_running() {
            self.keeper = run_keeper(&self.folder, self.keeper_port).await?;
        }
        if !self.front.is_running() {
            self.front = run_front(
                &self.options,
                self.certificates.as_ref(),
                &self.folder,
                self.port,
                self.keeper_port,
            )
            .await?;
        }
        Ok(())
    }

    /// The process that clients meet. Hung, it is a database that does not answer.
    pub fn server(&mut self) -> &mut Process {
        &mut self.front
    }

    /// The process that keeps the data.
    pub fn keeper(&mut self) -> &mut Process {
        &mut self.keeper
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let tls = if self.options.tls { "&tls=true" } else { "" };
        format!(
            "mongodb://127.0.0.1:{}/?directConnection=true{tls}",
            self.port
        )
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificates of a database with TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }
}

const BINARIES: &str = "/usr/lib/postgresql/18/bin";

async fn initialise(folder: &Folder, port: u16) -> Result<()> {
    let data = folder.inside().join("data");
    std::fs::create_dir(folder.outside().join("data"))?;
    let mut owner = Command::new("chroot");
    owner
        .arg(folder.root())
        .args(["chown", "postgres"])
        .arg(&data);
    owner.status()?;
    let mut command = Process::inside(folder.root(), Some("postgres"));
    command
        .arg(format!("{BINARIES}/initdb"))
        .args(["--auth=trust", "--no-sync", "--pgdata"])
        .arg(&data);
    let output = tokio::process::Command::from(command).output().await?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(crate::StartError::Failed(error));
    }
    let settings = format!(
        "shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'\n\
         cron.database_name = 'postgres'\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         max_connections = 200\n\
         unix_socket_directories = ''\n"
    );
    std::fs::write(folder.outside().join("data/postgresql.auto.conf"), settings)?;
    Ok(())
}

async fn run_keeper(folder: &Folder, port: u16) -> Result<Process> {
    let mut command = Process::inside(folder.root(), Some("postgres"));
    command
        .arg(format!("{BINARIES}/postgres"))
        .arg("-D")
        .arg(folder.inside().join("data"));
    let log = folder.outside().join("postgres.log");
    let mut keeper = Process::spawn("PostgreSQL", command, &log)?;
    let (root, port) = (folder.root(), port.to_string());
    let extension = "create extension if not exists documentdb cascade";
    let psql = [
        "psql",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-p",
        &port,
        "-c",
        extension,
    ];
    keeper.until_told(root, &psql, "CREATE EXTENSION").await?;
    Ok(keeper)
}

async fn run_front(
    options: &MongoOptions,
    certificates: Option<&Certificates>,
    folder: &Folder,
    port: u16,
    keeper_port: u16,
) -> Result<Process> {
    let mut command = Command::new(ferretdb()?);
    command
        .arg(format!(
            "--postgresql-url=postgres://postgres@127.0.0.1:{keeper_port}/postgres"
        ))
        .args(["--debug-addr=-", "--telemetry=disable", "--no-auth"])
        .arg(format!("--state-dir={}", folder.outside().display()));
    if let Some(certificates) = certificates {
        command
            .arg("--listen-addr=")
            .arg(format!("--listen-tls=127.0.0.1:{port}"))
            .arg(format!(
                "--listen-tls-cert-file={}",
                certificates.server().display()
            ))
            .arg(format!(
                "--listen-tls-key-file={}",
                certificates.server_key().display()
            ));
        // Whoever names an authority demands the client's certificate.
        if options.client_certificate {
            let authority = certificates.authority();
            command.arg(format!("--listen-tls-ca-file={}", authority.display()));
        }
    } else {
        command.arg(format!("--listen-addr=127.0.0.1:{port}"));
    }
    let mut front = Process::spawn("FerretDB", command, &folder.outside().join("ferretdb.log"))?;
    front.until_listening(port).await?;
    Ok(front)
}
