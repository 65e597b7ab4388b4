//! A few seeds, and that a seed says all.

use darda_sim::check::check;
use darda_sim::plan::Plan;
use darda_sim::run::run;

#[test]
fn every_promise_is_kept_in_thirty_runs() {
    for seed in 0..30 {
        let broken = check(&run(&Plan::draw(seed)).unwrap());
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 7, 23] {
        let plan = Plan::draw(seed);
        let (first, second) = (run(&plan).unwrap(), run(&plan).unwrap());
        let differs = first
            .records
            .iter()
            .zip(&second.records)
            .find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert!(first == second, "seed {seed} ended differently");
    }
}

#[test]
fn a_history_reads_back_from_json() {
    let history = run(&Plan::draw(3)).unwrap();
    let json = serde_json::to_string(&history).unwrap();
    assert!(serde_json::from_str::<darda_sim::history::History>(&json).unwrap() == history);
}
