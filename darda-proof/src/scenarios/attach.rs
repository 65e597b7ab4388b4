//! A system that somebody else runs and disturbs: on a cluster, say. Lines of standard input say what is
//! about to happen to it, and when that is over; see [`Disturber`].

use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};

use super::finish;
use crate::run::Run;
use crate::system::System;
use crate::wishes::Wishes;
use crate::{Result, say};

/// Who disturbs the system. It writes a line with the name of a disturbance before it begins, one that is
/// `done` after it, and then waits for our line that ends with `over`. The end of its lines ends the
/// load.
#[derive(Debug)]
struct Disturber(Lines<BufReader<Stdin>>);

impl Disturber {
    async fn next(&mut self) -> Result<Option<String>> {
        Ok(self.0.next_line().await?.filter(|line| !line.is_empty()))
    }

    async fn done(&mut self) -> Result<()> {
        match self.next().await?.as_deref() {
            Some("done") => Ok(()),
            other => Err(format!("waited for `done`, and was told {other:?}").into()),
        }
    }
}

pub(super) async fn attached(wishes: &Wishes) -> Result<bool> {
    let system = System::attached(&wishes.gateways)?;
    let mut run = Run::begin("attach", system, wishes, 0).await?;
    run.conditions.port_refused = true;
    // What happens to a broker below is the disturber's to know.
    run.conditions.live_shuffled = true;
    let mut disturber = Disturber(BufReader::new(stdin()).lines());
    say("under load");
    while let Some(name) = disturber.next().await? {
        run.stage(&name, async |_| disturber.done().await).await?;
        say(&format!("{name}: over"));
    }
    finish(run).await
}
