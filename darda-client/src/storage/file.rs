//! A storage in a directory: a journal of changes that is written anew when it has grown.
//!
//! Each line is a change as JSON behind its CRC-32, so that a line that was cut off by a crash is seen.
//! Such a line can only be the last one, and nobody was told that it is kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Change, Storage, Stored};
use crate::{Error, Result};

const JOURNAL: &str = "journal";
const FRESH: &str = "journal.new";
const LOCK: &str = "lock";
/// The journal is written anew when it is larger than this and ten times what it has to say.
const COMPACT_BYTES: u64 = 1024 * 1024;

/// A storage in a directory of its own, for one client at a time. What was kept survives a SIGKILL and,
/// as far as the file system keeps its word, a power failure: each change is synced to the disk.
#[derive(Debug)]
pub struct FileStorage(Arc<Mutex<Journal>>);

#[derive(Debug)]
struct Journal {
    directory: PathBuf,
    file: File,
    bytes: u64,
    /// Bytes of the journal when it was written anew.
    fresh: u64,
    stored: Stored,
    /// Held as long as this storage lives.
    _lock: File,
}

impl FileStorage {
    /// Opens a directory, which is made if it is not there.
    ///
    /// # Errors
    /// `Storage` when it cannot be read or written, when another process uses it, or when it is damaged
    /// elsewhere than at its end.
    ///
    /// # Cancellation
    /// Safe: nothing but a lock is left, and that only until the call's thread has ended.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        let opened = tokio::task::spawn_blocking(move || Journal::open(directory)).await;
        let journal = opened.map_err(|error| Error::storage("opening was cut off", error))??;
        Ok(Self(Arc::new(Mutex::new(journal))))
    }
}

#[async_trait]
impl Storage for FileStorage {
    async fn load(&self) -> Result<Stored> {
        Ok(self.0.lock().stored.clone())
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<()> {
        let journal = self.0.clone();
        let written = tokio::task::spawn_blocking(move || journal.lock().append(changes)).await;
        let written = written.map_err(|error| Error::storage("writing was cut off", error))?;
        written.map_err(|error| Error::storage("the journal cannot be written", error))
    }
}

impl Journal {
    fn open(directory: PathBuf) -> Result<Self> {
        let name = directory.display().to_string();
        let failed = |error: io::Error| Error::storage(format!("{name} cannot be used"), error);
        std::fs::create_dir_all(&directory).map_err(failed)?;
        let lock = File::create(directory.join(LOCK)).map_err(failed)?;
        lock.try_lock()
            .map_err(|error| Error::storage(format!("{name} is used by another client"), error))?;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(directory.join(JOURNAL))
            .map_err(failed)?;
        let mut journal = Self {
            directory,
            file,
            bytes: 0,
            fresh: 0,
            stored: Stored::default(),
            _lock: lock,
        };
        journal.replay()?;
        // It begins short, and the file itself is in the directory for sure.
        journal.write_anew().map_err(failed)?;
        Ok(journal)
    }

    fn replay(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        self.file
            .read_to_end(&mut bytes)
            .map_err(|error| Error::storage("the journal cannot be read", error))?;
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
        let mut number = 0;
        while let Some(line) = lines.next() {
            number += 1;
            match parse(line) {
                Ok(change) => self.stored.apply(change),
                // Cut off while it was written: nobody was told that it is kept.
                Err(_) if lines.peek().is_none() => break,
                Err(error) => {
                    let message = format!("line {number} of the journal is damaged");
                    return Err(Error::storage(message, error));
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, changes: Vec<Change>) -> io::Result<()> {
        let mut lines = Vec::new();
        for change in &changes {
            write_line(&mut lines, change)?;
        }
        if let Err(error) = self
            .file
            .write_all(&lines)
            .and_then(|()| self.file.sync_data())
        {
            // A part of a line must not stand before whole ones.
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::End(0))?;
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        changes.into_iter().for_each(|it| self.stored.apply(it));
        if self.bytes > COMPACT_BYTES.max(10 * self.fresh) {
            self.write_anew()?;
        }
        Ok(())
    }

    /// Writes what is held into another file that takes the journal's place.
    fn write_anew(&mut self) -> io::Result<()> {
        let mut lines = Vec::new();
        for change in self.stored.changes() {
            write_line(&mut lines, &change)?;
        }
        let path = self.directory.join(FRESH);
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .or_else(|_| {
                std::fs::remove_file(&path)?;
                OpenOptions::new().append(true).create_new(true).open(&path)
            })?;
        file.write_all(&lines)?;
        file.sync_all()?;
        std::fs::rename(&path, self.directory.join(JOURNAL))?;
        sync_directory(&self.directory)?;
        self.file = file;
        self.bytes = lines.len() as u64;
        self.fresh = self.bytes;
        Ok(())
    }
}

/// Without it a power failure may bring the old file back.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

fn write_line(lines: &mut Vec<u8>, change: &Change) -> io::Result<()> {
    let json = serde_json::to_string(change)?;
    writeln!(lines, "{:08x} {json}", crc32fast::hash(json.as_bytes()))
}

fn parse(line: &[u8]) -> io::Result<Change> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the checksum does not fit");
    let line = line.strip_suffix(b"\n").ok_or_else(damaged)?;
    let line = std::str::from_utf8(line).map_err(io::Error::other)?;
    let (sum, json) = line.split_once(' ').ok_or_else(damaged)?;
    if u32::from_str_radix(sum, 16).ok() != Some(crc32fast::hash(json.as_bytes())) {
        return Err(damaged());
    }
    Ok(serde_json::from_str(json)?)
}

#[cfg(test)]
mod tests;
