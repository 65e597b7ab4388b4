//! A server's process: it can be hung, killed and waited for, and dies with us.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::net::TcpStream;

use crate::{Result, StartError, Watcher};

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to end when it is asked to.
const GOODBYE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A running server: a process group of its own.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    _watcher: Watcher,
    log: PathBuf,
}

impl Process {
    /// Starts a program that logs to a file.
    pub(crate) fn spawn(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let output = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(|error| StartError::Failed(format!("{name}: {error}")))?;
        let watcher = Watcher::over(&child)?;
        Ok(Self {
            name,
            child,
            _watcher: watcher,
            log: log.to_owned(),
        })
    }

    /// A program inside a root file system, with a `/proc` that no one else sees.
    pub(crate) fn inside(root: &Path, user: Option<&str>) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg("mount -t proc proc \"$0/proc\" && exec chroot \"$@\"")
            .arg(root);
        if let Some(user) = user {
            command.arg(format!("--userspec={user}:{user}"));
        }
        command
            .arg(root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Waits until `ready` says so, once in a while.
    pub(crate) async fn until<R>(&mut self, mut ready: impl FnMut() -> R) -> Result<()>
    where
        R: Future<Output = bool>,
    {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("ended with {status}")));
            }
            if ready().await {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.failed("does not come up"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the log says something.
    pub(crate) async fn until_logged(&mut self, words: &str) -> Result<()> {
        let log = self.log.clone();
        self.until(|| {
            let log = std::fs::read(&log).unwrap_or_default();
            std::future::ready(String::from_utf8_lossy(&log).contains(words))
        })
        .await
    }

    fn failed(&self, what: &str) -> StartError {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(15)..].join("\n");
        StartError::Failed(format!("{} {what}:\n{last}", self.name))
    }

    /// Waits until a port of 127.0.0.1 takes connections.
    pub(crate) async fn until_listening(&mut self, port: u16) -> Result<()> {
        self.until(|| async move { TcpStream::connect(("127.0.0.1", port)).await.is_ok() })
            .await
    }

    /// Waits until a command inside a root file system succeeds and prints these words.
    pub(crate) async fn until_told(
        &mut self,
        root: &Path,
        command: &[&str],
        words: &str,
    ) -> Result<()> {
        self.until(|| {
            let asked = tokio::process::Command::new("chroot")
                .arg(root)
                .args(command)
                .output();
            async {
                asked.await.is_ok_and(|output| {
                    let said = String::from_utf8_lossy(&output.stdout);
                    output.status.success() && said.contains(words)
                })
            }
        })
        .await
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.pid() {
            // It fails when the process is gone, which is as good.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Makes it hang (SIGSTOP): connections stay open and nothing answers. Waits until it has stopped: on
    /// a busy machine a question might still be answered before that.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        if let Some(pid) = self.pid() {
            let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // As above.
            let _ = waitid(WaitId::Pid(pid), stopped);
        }
    }

    /// Ends a hang (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Asks it to end (SIGTERM), waits, and kills it if it does not.
    pub async fn stop(&mut self) {
        self.end(Signal::TERM).await;
    }

    async fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let begun = Instant::now();
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            if begun.elapsed() > GOODBYE {
                self.signal(Signal::KILL);
            }
            tokio::time::sleep(POLL).await;
        }
        // What is left of its group.
        self.signal(Signal::KILL);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
