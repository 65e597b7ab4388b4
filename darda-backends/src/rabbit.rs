//! RabbitMQ: one node, or three in a cluster.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::process::Process;
use crate::root::{Folder, free_port};
use crate::{Certificates, Result, StartError};

/// What a RabbitMQ node is started with.
#[derive(Debug, Default)]
pub struct RabbitOptions {
    tls: bool,
    client_certificate: bool,
}

impl RabbitOptions {
    /// Speaks TLS only, with [`Rabbit::certificates`].
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

/// A RabbitMQ node of a test's own. Its data last as long as this value.
#[derive(Debug)]
pub struct Rabbit {
    // Dropped before its folder.
    server: Process,
    node: Node,
}

#[derive(Debug)]
struct Node {
    options: RabbitOptions,
    certificates: Option<Certificates>,
    port: u16,
    distribution: u16,
    /// Finds the nodes of a cluster; it dies with the last of them.
    names: Arc<Names>,
    folder: Folder,
}

/// Erlang's name server, of this test's own.
#[derive(Debug)]
struct Names {
    _server: Process,
    port: u16,
    _folder: Folder,
}

impl Names {
    async fn start() -> Result<Arc<Self>> {
        let (folder, port) = (Folder::make("epmd")?, free_port()?);
        let mut command = Process::inside(folder.root(), None);
        command.args(["epmd", "-address", "127.0.0.1", "-port", &port.to_string()]);
        let mut server = Process::spawn("epmd", command, &folder.outside().join("log"))?;
        server.until_listening(port).await?;
        Ok(Arc::new(Self {
            _server: server,
            port,
            _folder: folder,
        }))
    }
}

impl Rabbit {
    /// Starts a node.
    ///
    /// # Errors
    /// `Missing` without installed servers, `Failed` if it does not come up.
    pub async fn start(options: RabbitOptions) -> Result<Self> {
        Self::start_with(options, Names::start().await?).await
    }

    async fn start_with(options: RabbitOptions, names: Arc<Names>) -> Result<Self> {
        let folder = Folder::make("rabbit")?;
        let node = Node {
            certificates: options.tls.then(Certificates::new).transpose()?,
            options,
            port: free_port()?,
            distribution: free_port()?,
            names,
            folder,
        };
        node.configure()?;
        let server = node.run().await?;
        Ok(Self { server, node })
    }

    /// Starts a node that was killed or stopped, with its data.
    ///
    /// # Errors
    /// `Failed` if it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.kill().await;
        self.server = self.node.run().await?;
        Ok(())
    }

    /// Its process group.
    pub fn server(&mut self) -> &mut Process {
        &mut self.server
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.node.options.tls {
            "amqps"
        } else {
            "amqp"
        };
        format!("{scheme}://guest:guest@127.0.0.1:{}/%2f", self.node.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.node.port
    }

    /// The certificates of a node with TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.node.certificates.as_ref()
    }

    /// Runs `rabbitmqctl`, which takes about two seconds, and returns what it prints.
    ///
    /// # Errors
    /// `Failed` when the command is refused.
    pub async fn control(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.node.inside("rabbitmqctl")?;
        command.arg("--quiet").args(arguments);
        let output = tokio::process::Command::from(command).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(StartError::Failed(format!(
                "rabbitmqctl {arguments:?}: {text}{error}"
            )))
        }
    }

    /// Raises the memory alarm: publishers are blocked.
    ///
    /// # Errors
    /// `Failed` when the node refuses.
    pub async fn raise_memory_alarm(&self) -> Result<()> {
        self.control(&["set_vm_memory_high_watermark", "0.000001"])
            .await
            .map(drop)
    }

    /// Ends the memory alarm.
    ///
    /// # Errors
    /// `Failed` when the node refuses.
    pub async fn end_memory_alarm(&self) -> Result<()> {
        self.control(&["set_vm_memory_high_watermark", "0.6"])
            .await
            .map(drop)
    }

    /// Closes all connections from the server's side.
    ///
    /// # Errors
    /// `Failed` when the node refuses.
    pub async fn close_all_connections(&self) -> Result<()> {
        self.control(&["close_all_connections", "a test says so"])
            .await
            .map(drop)
    }
}

impl Node {
    fn name(&self) -> String {
        format!("darda{}@localhost", self.port)
    }

    fn configure(&self) -> Result<()> {
        let mut settings = String::from("log.console = true\nlog.file = false\n");
        if let Some(certificates) = &self.certificates {
            let demanded = if self.options.client_certificate {
                "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            } else {
                "ssl_options.verify = verify_none\n"
            };
            settings.push_str("listeners.tcp = none\n");
            settings.push_str(&format!("listeners.ssl.local = 127.0.0.1:{}\n", self.port));
            for (setting, file) in [
                ("cacertfile", certificates.authority()),
                ("certfile", certificates.server()),
                ("keyfile", certificates.server_key()),
            ] {
                let file = self.folder.take_in(&file)?;
                settings.push_str(&format!("ssl_options.{setting} = {}\n", file.display()));
            }
            settings.push_str(demanded);
        } else {
            settings.push_str(&format!("listeners.tcp.local = 127.0.0.1:{}\n", self.port));
        }
        std::fs::write(self.folder.outside().join("rabbitmq.conf"), settings)?;
        // Nodes of one cluster share it.
        let cookie = self.folder.outside().join(".erlang.cookie");
        std::fs::write(&cookie, "darda")?;
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        std::fs::set_permissions(&cookie, owner_only)?;
        std::fs::write(self.folder.outside().join("enabled_plugins"), "[].")?;
        Ok(())
    }

    fn inside(&self, program: &str) -> Result<Command> {
        // By their real path: the scripts find RabbitMQ beside themselves.
        let scripts = self.folder.root().join("etc/darda-backends/rabbitmq");
        let scripts = std::fs::read_link(scripts)?;
        let mut command = Process::inside(self.folder.root(), None);
        let inside = self.folder.inside();
        let variable = |name: &str, path: &Path| format!("{name}={}", path.display());
        command
            .arg("env")
            .arg(variable("HOME", inside))
            .arg(variable("RABBITMQ_MNESIA_BASE", &inside.join("data")))
            .arg(variable("RABBITMQ_LOG_BASE", &inside.join("logs")))
            .arg(variable("RABBITMQ_PID_FILE", &inside.join("pid")))
            .arg(variable(
                "RABBITMQ_CONFIG_FILE",
                &inside.join("rabbitmq.conf"),
            ))
            .arg(variable(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                &inside.join("enabled_plugins"),
            ))
            .arg(format!("RABBITMQ_NODENAME={}", self.name()))
            .arg(format!("RABBITMQ_DIST_PORT={}", self.distribution))
            .arg(format!("ERL_EPMD_PORT={}", self.names.port))
            .args(["ERL_EPMD_ADDRESS=127.0.0.1", "ERL_MAX_PORTS=20000"])
            // The distribution listens where clients do: on loopback.
            .arg("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
            .arg(scripts.join(program));
        Ok(command)
    }

    async fn run(&self) -> Result<Process> {
        let log = self.folder.outside().join("log");
        let mut server = Process::spawn("RabbitMQ", self.inside("rabbitmq-server")?, &log)?;
        server.until_logged("Server startup complete").await?;
        Ok(server)
    }
}

/// Three nodes in one cluster.
#[derive(Debug)]
pub struct RabbitCluster {
    nodes: Vec<Rabbit>,
}

impl RabbitCluster {
    /// Starts three nodes and joins them; about half a minute.
    ///
    /// # Errors
    /// `Missing` without installed servers, `Failed` if they do not come up.
    pub async fn start() -> Result<Self> {
        let names = Names::start().await?;
        let mut nodes: Vec<Rabbit> = Vec::new();
        for _ in 0..3 {
            let node = Rabbit::start_with(RabbitOptions::default(), names.clone()).await?;
            if let Some(first) = nodes.first() {
                node.control(&["stop_app"]).await?;
                node.control(&["join_cluster", &first.node.name()]).await?;
                node.control(&["start_app"]).await?;
            }
            nodes.push(node);
        }
        Ok(Self { nodes })
    }

    /// Its nodes.
    pub fn nodes(&mut self) -> &mut [Rabbit] {
        &mut self.nodes
    }
}
