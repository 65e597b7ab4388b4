//! Where the servers' files are, and which ports and folders a new server gets.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{Result, StartError};

/// Below the ports that the system gives to outgoing connections: a server that is killed finds its
/// port free when it comes back.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;
/// So far above its port, a node of Redis' cluster listens for the others.
const CLUSTER_BUS: u16 = 10_000;
/// Folders of servers, inside the root file system.
const FOLDERS: &str = "srv/tests";

/// The folder that `scripts/backends.sh` fills.
fn made() -> PathBuf {
    std::env::var_os("DARDA_BACKENDS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.backends"),
        PathBuf::from,
    )
}

/// The root file system with the servers.
pub(crate) fn root() -> Result<PathBuf> {
    let root = made().join("root");
    if !root.join("etc/darda-backends").exists() {
        return Err(missing(
            "the servers are not installed: scripts/backends.sh does it",
        ));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(missing(
            "the servers run in a root file system of their own, which only root can enter",
        ));
    }
    Ok(root.canonicalize()?)
}

/// The program that speaks MongoDB's protocol.
pub(crate) fn ferretdb() -> Result<PathBuf> {
    let program = made().join("bin/ferretdb");
    if !program.exists() {
        return Err(missing(
            "FerretDB is not installed: scripts/backends.sh does it",
        ));
    }
    Ok(program.canonicalize()?)
}

fn missing(why: &str) -> StartError {
    StartError::Missing(why.to_owned())
}

/// A port that nobody listens on and that no other server of this process was given.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side begin far apart.
    let start = (std::process::id().wrapping_mul(97) % u32::from(PORTS)) as u16;
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = FIRST_PORT + (start + step) % PORTS;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        // Redis' cluster takes a second one.
        if is_free(port) && port.checked_add(CLUSTER_BUS).is_none_or(is_free) {
            return Ok(port);
        }
    }
    Err(StartError::Failed("no port is free".to_owned()))
}

/// A server's folder: `inside` as the server sees it, `outside` as we do. It goes when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    inside: PathBuf,
}

impl Folder {
    pub(crate) fn make(name: &str) -> Result<Self> {
        let root = root()?;
        sweep(&root);
        let port_free_name = format!("{name}-{}-{}", std::process::id(), free_port()?);
        let inside = Path::new("/").join(FOLDERS).join(port_free_name);
        let folder = Self { root, inside };
        std::fs::create_dir_all(folder.outside())?;
        Ok(folder)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn inside(&self) -> &Path {
        &self.inside
    }

    pub(crate) fn outside(&self) -> PathBuf {
        let relative = self.inside.strip_prefix("/").unwrap_or(&self.inside);
        self.root.join(relative)
    }

    /// Copies a file in, and says what it is called inside.
    pub(crate) fn take_in(&self, file: &Path) -> Result<PathBuf> {
        let name = file.file_name().unwrap_or_default();
        std::fs::copy(file, self.outside().join(name))?;
        Ok(self.inside.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next one.
        let _ = std::fs::remove_dir_all(self.outside());
    }
}

/// Removes folders of processes that are no more.
fn sweep(root: &Path) {
    let Ok(folders) = std::fs::read_dir(root.join(FOLDERS)) else {
        return;
    };
    for folder in folders.flatten() {
        let name = folder.file_name();
        let owner = name.to_str().and_then(|name| name.rsplit('-').nth(1));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}
