//! What a test's code logs.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level};

/// As long as a process has one subscriber, `tracing` asks only the thread that comes to a line first whether
/// anybody listens there, and takes its answer for all: another test's *nobody* for this one's.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// What is logged on a test's thread, as text.
#[derive(Debug, Clone, Default)]
pub struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Begins to listen, up to this level, until the guard is dropped.
    #[must_use]
    pub fn listen(level: Level) -> (Self, DefaultGuard) {
        LazyLock::force(&SECOND);
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    /// All of it so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() {
        tracing::warn!("here");
    }

    #[test]
    fn a_line_that_nobody_heard_elsewhere_is_heard_here() {
        let (logged, _guard) = Logged::listen(Level::WARN);
        std::thread::spawn(line).join().unwrap();
        assert_eq!(logged.text(), "");
        line();
        assert!(logged.text().contains("here"), "{}", logged.text());
    }
}
