//! The real `darda-server`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::Result;

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A running server. It is killed with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
}

/// How to start one.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) async fn start(plan: &Plan) -> Result<Self> {
        let said = plan.directory.join("server.out");
        let inherited = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_none_or(|name| !name.starts_with("DARDA_")));
        let child = Command::new(&plan.binary)
            .env_clear()
            .envs(inherited)
            .envs(plan.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(append(&plan.directory.join("server.log"))?)
            .spawn()
            .map_err(|error| format!("{}: {error}", plan.binary.display()))?;
        let mut server = Self { child, port: 0 };
        let began = Instant::now();
        while server.port == 0 {
            let text = std::fs::read_to_string(&said)?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("listening on http://"));
            if let Some((_, port)) = line.and_then(|address| address.rsplit_once(':')) {
                server.port = port.parse()?;
            } else if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server ended with {status}").into());
            } else if began.elapsed() > PATIENCE {
                return Err("the server does not listen".into());
            } else {
                sleep(POLL).await;
            }
        }
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits until it is gone.
    pub(crate) async fn ended(mut self) -> Result<()> {
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                return Err("the server does not end".into());
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that goes on where it ended.
pub(crate) fn append(path: &Path) -> Result<File> {
    Ok(File::options().create(true).append(true).open(path)?)
}
