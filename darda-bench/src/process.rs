//! The server under test: a process of its own, so that its memory and its CPU time are its own.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::free_address;

/// Which server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program that does only the unavoidable part.
    Bare,
    /// `darda-server` on its in-memory ports.
    Darda,
}

/// A running server. Ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        let address = free_address()?;
        let this = std::env::current_exe()?;
        let mut command = match kind {
            Kind::Bare => {
                let mut command = Command::new(this);
                command.arg("serve-bare").arg(address.to_string());
                command
            }
            Kind::Darda => {
                let mut command = Command::new(darda_server(this)?);
                command.envs(settings(address));
                command
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut server = Self { child, address };
        server.await_listening()?;
        Ok(server)
    }

    /// CPU time that the process has used, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold spaces; what follows it does not.
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_millis(ticks * 1000 / per_second.max(1)))
    }

    /// Resident memory in KiB, once it holds still.
    pub(crate) fn settled_memory(&self) -> Result<u64> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut last = self.memory()?;
        loop {
            thread::sleep(Duration::from_millis(500));
            let now = self.memory()?;
            if now.abs_diff(last) * 1000 <= now || Instant::now() > deadline {
                return Ok(now);
            }
            last = now;
        }
    }

    fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let digits = line.and_then(|line| line.split_ascii_whitespace().next());
        Ok(digits.ok_or("no VmRSS of the server")?.parse()?)
    }

    fn await_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended at its start: {status}").into());
            }
            if Instant::now() > deadline {
                return Err("the server does not listen".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's binary, built beside this one unless `DARDA_SERVER` names another.
fn darda_server(this: PathBuf) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DARDA_SERVER") {
        return Ok(path.into());
    }
    let beside = this.with_file_name("darda-server");
    if beside.exists() {
        return Ok(beside);
    }
    let path = beside.display();
    Err(format!("{path} is missing: build it, or name it in DARDA_SERVER").into())
}

/// One program sends for everybody here, so what guards against one user is off.
fn settings(address: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("DARDA_LISTEN", address.to_string()),
        ("DARDA_RATE_LIMITS", "off".to_owned()),
        ("DARDA_LOG", "error".to_owned()),
    ]
}
