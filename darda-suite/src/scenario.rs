//! Scenarios as data: see `clients/suite/README.md`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::Result;

/// A file of `clients/suite/scenarios`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(skip)]
    pub(crate) name: String,
    /// What it shows.
    pub(crate) about: String,
    #[serde(default = "one")]
    pub(crate) speed: u32,
    #[serde(default = "ten_seconds")]
    patience_ms: u64,
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    pub(crate) devices: Vec<String>,
    /// Settings of the server.
    #[serde(default)]
    pub(crate) server: BTreeMap<String, String>,
    pub(crate) steps: Vec<Step>,
    /// States that a device must have reported, in this order.
    #[serde(default)]
    pub(crate) told: BTreeMap<String, Vec<String>>,
}

/// What a scenario needs besides what a subject can: real servers behind `darda-server`.
pub(crate) const BACK_ENDS: &str = "back_ends";

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    Subject {
        on: String,
        #[serde(flatten)]
        act: Act,
    },
    Proxy {
        on: String,
        #[serde(flatten)]
        fault: Fault,
    },
    Server {
        server: ServerAct,
    },
    Pause {
        sleep_ms: u64,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Act {
    Send {
        to: String,
        texts: usize,
        #[serde(default)]
        bytes: usize,
    },
    Pause,
    Continue,
    Clock {
        by_ms: i64,
    },
    Stop,
    Kill,
    Start,
    Freeze,
    Thaw,
    Wait {
        r#for: String,
    },
    WaitAcked {
        count: usize,
    },
    WaitEntries {
        count: usize,
    },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(tag = "proxy", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    Cut,
    Refuse,
    Open,
    Swallow,
    Stall,
    Delay { ms: u64 },
    Truncate { bytes: usize },
    HalfClose { side: Side },
    Drop { what: What, count: usize },
    Repeat { what: What, count: usize },
    Swap { what: What },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Client,
    Server,
}

/// A kind of frame from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Ack,
    Entry,
    Reply,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerAct {
    Stop,
    Drain,
    Kill,
    Start,
}

fn one() -> u32 {
    1
}

fn ten_seconds() -> u64 {
    10_000
}

impl Scenario {
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }

    /// Reads a directory's scenarios, by name.
    pub(crate) fn all(directory: &Path) -> Result<Vec<Self>> {
        let mut scenarios = Vec::new();
        for file in std::fs::read_dir(directory)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path)?;
            let mut scenario: Self =
                toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.file_stem().unwrap_or_default();
            scenario.name = name.to_string_lossy().into_owned();
            scenarios.push(scenario);
        }
        scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scenarios)
    }
}

/// The user of a device: its name up to a `/`.
pub(crate) fn user(device: &str) -> &str {
    device.split('/').next().unwrap_or(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_read_and_names_only_devices_that_it_has() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/suite/scenarios");
        let scenarios = Scenario::all(&directory).unwrap();
        assert!(scenarios.len() > 10, "{}", scenarios.len());
        for scenario in scenarios {
            let name = &scenario.name;
            for step in &scenario.steps {
                let on = match step {
                    Step::Subject { on, .. } | Step::Proxy { on, .. } => on,
                    _ => continue,
                };
                assert!(scenario.devices.contains(on), "{name}: {on}");
            }
            for told in scenario.told.keys() {
                assert!(scenario.devices.contains(told), "{name}: {told}");
            }
        }
    }
}
