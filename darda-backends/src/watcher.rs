//! What we started dies with us, however we end.

use std::io::Result;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Kills a process group when this process ends without doing it.
#[derive(Debug)]
pub struct Watcher(Child);

impl Watcher {
    /// Watches over a child that leads a process group.
    ///
    /// # Errors
    /// When a shell cannot be started.
    pub fn over(child: &Child) -> Result<Self> {
        // Its input ends when we end. `-s`: not every shell knows `kill -KILL --`.
        let watcher = Command::new("sh")
            .args(["-c", "cat; kill -s KILL -- \"-$0\""])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self(watcher))
    }
}

/// Whoever drops it has ended the child already: its number may be another's by now.
impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_child_is_killed_when_its_watchers_input_ends() {
        let mut sleeper = Command::new("sleep");
        let mut child = sleeper.arg("60").process_group(0).spawn().unwrap();
        let mut watcher = Watcher::over(&child).unwrap();
        drop(watcher.0.stdin.take());
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
