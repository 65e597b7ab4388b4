//! Snapshots: files beside the tests that hold what must not change unnoticed. They are rewritten
//! only when `UPDATE_SNAPSHOTS=1` asks for it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by tests, each of which needs a part"
)]

use std::path::{Path, PathBuf};

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name)
}

/// Says how the snapshot differs, if it does.
pub(crate) fn difference(name: &str, text: &str) -> Option<String> {
    let path = path(name);
    let text = format!("{}\n", text.trim_end());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|asked| asked == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
        return None;
    }
    match std::fs::read_to_string(&path) {
        Ok(kept) if kept == text => None,
        Ok(kept) => Some(format!("{name}\n  is   {text}  was  {kept}")),
        Err(error) => Some(format!("{name}: {error}\n  is   {text}")),
    }
}
