//! The server under test: a process of its own, so that its memory and its CPU time are its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::client::{PATIENCE, free_address};

/// Which server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program that does only the unavoidable part.
    Bare,
    /// `darda-server`.
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
        if kind == Kind::Darda {
            return Self::darda(std::iter::empty());
        }
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve-bare").arg(address.to_string());
        Self::run(command, address)
    }

    /// Starts `darda-server` with these settings and waits until it accepts connections.
    pub(crate) fn darda<'a>(more: impl Iterator<Item = (&'a str, String)>) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(binary("darda-server", "DARDA_SERVER")?);
        command.envs(settings(address)).envs(more);
        Self::run(command, address)
    }

    fn run(mut command: Command, address: SocketAddr) -> Result<Self> {
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

    /// The sum of a metric over its labels; 0 as long as there is none.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = self.get("/metrics")?;
        Ok(sum(&text, name))
    }

    /// Waits until it says that it is ready.
    pub(crate) fn await_ready(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, text) = self.get("/readyz")?;
            // A node without one of its servers is degraded and yet ready.
            if status == 200 && text.contains("\"status\":\"ok\"") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the server does not become ready: {text}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let process = Pid::from_child(&self.child);
        Ok(kill_process(process, signal)?)
    }

    /// The status and the body of a page.
    fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let host = self.address;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("not HTTP")?;
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        Ok((status, body.to_owned()))
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> Result<u64> {
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

/// CPU time that all of these have used.
pub(crate) fn cpu(servers: &[Server]) -> Result<Duration> {
    servers.iter().map(Server::cpu).sum()
}

/// The sum of a metric's values in Prometheus' text format.
fn sum(text: &str, name: &str) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.trim().parse::<f64>().ok()
    });
    values.sum()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A binary of ours, built beside this one unless the environment's variable names another.
pub(crate) fn binary(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let beside = std::env::current_exe()?.with_file_name(name);
    if beside.exists() {
        return Ok(beside);
    }
    let path = beside.display();
    Err(format!("{path} is missing: build it, or name it in {variable}").into())
}

/// One program sends for everybody here, so what guards against one user is off. While it does
/// something else, for a minute sometimes, nobody answers pings.
fn settings(address: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("DARDA_LISTEN", address.to_string()),
        ("DARDA_RATE_LIMITS", "off".to_owned()),
        ("DARDA_HEARTBEAT_MS", "600000".to_owned()),
        (
            "DARDA_LOG",
            std::env::var("DARDA_LOG").unwrap_or_else(|_| "error".to_owned()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_taken_for_one_whose_name_it_begins() {
        let text =
            "# TYPE acks counter\nacks{port=\"a\"} 2\nacks{port=\"b\"} 3\nacks_late 7\nsends 5\n";
        assert_eq!(sum(text, "acks"), 5.0);
        assert_eq!(sum(text, "sends"), 5.0);
        assert_eq!(sum(text, "nothing"), 0.0);
    }
}
