//! Thousands of sessions come back to another gateway than the one that they lost, each with missed
//! messages, against the same connects with nothing to resume.

use crate::Result;
use crate::bench::Size;
use crate::bench::storm::{Crowd, milliseconds};
use crate::process::Kind;
use crate::real::{BackEnds, System};
use crate::report::{Goal, Rounds, Table};

pub(crate) fn run(size: &Size) -> Result<()> {
    if !size.kinds.contains(&Kind::Darda) {
        return Ok(());
    }
    let Some(back_ends) = BackEnds::find("real-storm")? else {
        return Ok(());
    };
    let [mut connects, mut resumes, mut retries]: [Rounds; 3] = Default::default();
    for _ in 0..size.rounds {
        // Of its own for each round: who comes back to a node that remembers him has it easier.
        let system = System::start(&back_ends, 2)?;
        let at = [system.gateways[0].address, system.gateways[1].address];
        let mut crowd = Crowd::open(at, size.real_storm, size)?;
        crowd.miss(size)?;
        system.await_written()?;
        let (sessions, time) = crowd.come(false)?;
        connects.push(milliseconds(time));
        crowd.client.cut(sessions)?;
        System::await_empty(&system.gateways[1..])?;
        let (sessions, time) = crowd.come(true)?;
        resumes.push(milliseconds(time));
        crowd.client.cut(sessions)?;
        crowd.judge(size)?;
        retries.push(crowd.retries as f64);
    }
    let ratio = resumes.over(&connects);
    let title = format!(
        "real servers: {} sessions back at once, {} missed messages each: ms until the last has all",
        size.real_storm, size.missed
    );
    let columns = [
        "connects only",
        "with resume",
        "ratio",
        "goal",
        "resumes asked for again",
    ];
    let mut table = Table::new(title, &columns);
    table.row([
        connects.show(0),
        resumes.show(0),
        ratio.show(2),
        Goal::AtMost(3.0).judge(ratio.median(), 1),
        retries.show(0),
    ]);
    table.print();
    Ok(())
}
