//! What the command line asks for.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::Result;
use crate::cast::Size;

pub(crate) const USAGE: &str = "\
darda-proof SCENARIO...|all [OPTIONS]
darda-proof soak [--minutes N] [OPTIONS]
darda-proof attach --gateway ADDRESS:PORT... [OPTIONS]

  --seconds N        load in each scenario beside its disturbances, in seconds (12)
  --chaos-seconds N  length of `all-at-once` (120)
  --minutes N        length of `soak` (30)
  --gateway A:P      where `attach` finds a gateway, or a load balancer before them
  --seed N           what is drawn at random (drawn itself, and printed)
  --rate N           sends a second (300)
  --clients N        clients (200)
  --conversations N  conversations (50)
  --json FILE        write the history of the last scenario there

The server's binary is what DARDA_SERVER names, else the one beside this program.
";

/// What the command line asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    pub(crate) scenarios: Vec<String>,
    pub(crate) seconds: u64,
    pub(crate) chaos_seconds: u64,
    pub(crate) minutes: u64,
    pub(crate) gateways: Vec<SocketAddr>,
    pub(crate) seed: u64,
    pub(crate) rate: u64,
    pub(crate) size: Size,
    pub(crate) json: Option<PathBuf>,
}

impl Wishes {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut wishes = Self {
            scenarios: Vec::new(),
            seconds: 12,
            chaos_seconds: 120,
            minutes: 30,
            gateways: Vec::new(),
            seed: fastrand::u64(..1_000_000),
            rate: 300,
            size: Size::FULL,
            json: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seconds" => wishes.seconds = value()?.parse()?,
                "--chaos-seconds" => wishes.chaos_seconds = value()?.parse()?,
                "--minutes" => wishes.minutes = value()?.parse()?,
                "--gateway" => wishes.gateways.push(value()?.parse()?),
                "--seed" => wishes.seed = value()?.parse()?,
                "--rate" => wishes.rate = value()?.parse()?,
                "--clients" => wishes.size.clients = value()?.parse()?,
                "--conversations" => wishes.size.conversations = value()?.parse()?,
                "--json" => wishes.json = Some(value()?.into()),
                option if option.starts_with('-') => {
                    return Err(format!("{option}: what is that?").into());
                }
                _ => wishes.scenarios.push(word),
            }
        }
        if wishes.scenarios.is_empty() {
            return Err("name a scenario".into());
        }
        Ok(wishes)
    }
}
