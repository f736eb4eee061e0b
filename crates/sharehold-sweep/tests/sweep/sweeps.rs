//! What each sweep must find, and what it must count.

use crate::toys;
use sharehold_sweep::{Points, Report, Scenario, play_role};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::rc::Rc;

/// The scenarios, and what the survivors of two of them noted.
struct Toys {
    scenarios: Vec<Scenario>,
    filled: Rc<RefCell<BTreeSet<usize>>>,
    rounds: Rc<RefCell<Vec<(usize, u64)>>>,
}

impl Toys {
    fn new() -> Self {
        let (filled, rounds) = (Rc::default(), Rc::default());
        let scenarios = vec![
            toys::hole(),
            toys::repaired(),
            toys::fill(&filled),
            toys::system_calls(),
            toys::hot_loop(&rounds),
            toys::zombie(),
            toys::helper(),
            toys::thread(),
            toys::signal(),
            toys::fickle(),
            toys::exits(),
            toys::hangs(),
            toys::lives(),
            toys::panics(),
            toys::survivor_hangs(),
        ];
        Self {
            scenarios,
            filled,
            rounds,
        }
    }

    fn sweep(&self, name: &str, points: Points) -> Report {
        let scenario = self
            .scenarios
            .iter()
            .find(|scenario| scenario.name() == name);
        scenario.expect("a scenario of that name").sweep(points)
    }
}

type Test = (&'static str, fn(&Toys));

const TESTS: [Test; 14] = [
    (
        "the_hole_of_one_instruction_is_found",
        the_hole_of_one_instruction_is_found,
    ),
    (
        "the_repaired_protocol_has_no_hole",
        the_repaired_protocol_has_no_hole,
    ),
    (
        "memory_is_as_the_last_instruction_left_it",
        memory_is_as_the_last_instruction_left_it,
    ),
    (
        "a_system_call_is_a_visible_change",
        a_system_call_is_a_visible_change,
    ),
    (
        "points_in_a_hot_loop_are_hit_exactly",
        points_in_a_hot_loop_are_hit_exactly,
    ),
    (
        "a_survivor_may_act_before_and_meet_a_zombie",
        a_survivor_may_act_before_and_meet_a_zombie,
    ),
    ("a_helper_is_another_process", a_helper_is_another_process),
    ("threads_die_with_the_victim", threads_die_with_the_victim),
    ("signals_are_passed_on", signals_are_passed_on),
    (
        "another_course_each_time_is_reported",
        another_course_each_time_is_reported,
    ),
    (
        "a_faulty_scenario_is_reported",
        a_faulty_scenario_is_reported,
    ),
    ("a_panic_is_a_finding", a_panic_is_a_finding),
    (
        "the_command_line_repeats_one_point",
        the_command_line_repeats_one_point,
    ),
    (
        "a_survivor_that_hangs_ends_the_sweep",
        a_survivor_that_hangs_ends_the_sweep,
    ),
];

/// Plays the part that this process was started for: victim, helper, the command line, or else the
/// tests.
pub(crate) fn run() -> ExitCode {
    let toys = Toys::new();
    play_role(&toys.scenarios);
    if env::args().any(|argument| argument == "--only") {
        return sharehold_sweep::main(&toys.scenarios);
    }
    let filter = env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    let selected: Vec<Test> = TESTS
        .into_iter()
        .filter(|(name, _)| name.contains(&filter))
        .collect();
    println!("\nrunning {} tests", selected.len());
    let mut failed = 0;
    for (name, test) in &selected {
        let passed = catch_unwind(AssertUnwindSafe(|| test(&toys))).is_ok();
        failed += usize::from(!passed);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out\n",
        if failed == 0 { "ok" } else { "FAILED" },
        selected.len() - failed,
        TESTS.len() - selected.len(),
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn assert_passed(report: &Report) {
    for failure in &report.failures {
        println!("{failure}");
    }
    assert!(report.passed(), "{}: {report}", report.name);
}

fn the_hole_of_one_instruction_is_found(toys: &Toys) {
    let every = toys.sweep("hole", Points::Every);
    assert_eq!((every.visible, every.missed), (2, 0), "two stores");
    assert_eq!(
        every.deaths,
        every.instructions + 1,
        "one death after each, and one before the first"
    );
    let [failure] = &every.failures[..] else {
        panic!("one hole, not {}", every.failures.len());
    };
    assert_eq!(failure.reason, "the words differ");
    assert!(
        failure.to_string().contains("set_two"),
        "the place is named: {failure}"
    );

    let sampled = toys.sweep("hole", Points::Sample(0));
    let hole = failure.point.expect("a point");
    let points = BTreeSet::from([0, hole, hole + 1, sampled.instructions]);
    assert_eq!(
        sampled.deaths,
        points.len(),
        "both ends, and one after each store"
    );
    assert_eq!(sampled.failures.len(), 1);
    assert_eq!(sampled.failures[0].point, failure.point);
}

fn the_repaired_protocol_has_no_hole(toys: &Toys) {
    let report = toys.sweep("repaired", Points::Every);
    assert_passed(&report);
    assert_eq!(report.visible, 3, "three stores");
    assert_eq!((report.deaths, report.missed), (report.instructions + 1, 0));
}

fn memory_is_as_the_last_instruction_left_it(toys: &Toys) {
    let report = toys.sweep("fill", Points::Every);
    assert_passed(&report);
    assert_eq!(report.visible, toys::FILLED, "one change a byte");
    assert_eq!(report.missed, 0);
    assert_eq!(
        *toys.filled.borrow(),
        (0..=toys::FILLED).collect(),
        "a death after each byte"
    );
}

fn a_system_call_is_a_visible_change(toys: &Toys) {
    let report = toys.sweep("system-calls", Points::Sample(0));
    assert_passed(&report);
    assert_eq!(report.visible, 3);
    assert_eq!(
        report.deaths, 8,
        "the first point, the last one, and two around each call"
    );
}

fn points_in_a_hot_loop_are_hit_exactly(toys: &Toys) {
    // One round is three instructions, so that the first and the last of four points are one round
    // apart.
    const POINTS: std::ops::Range<usize> = 2000..2004;
    for point in POINTS {
        let report = toys.sweep("hot-loop", Points::One(point));
        assert_passed(&report);
        assert_eq!(report.visible, usize::try_from(toys::ROUNDS).unwrap());
        assert_eq!(
            (report.deaths, report.missed),
            (2, 0),
            "the last point and the one asked for"
        );
    }
    let notes = toys.rounds.borrow();
    let rounds: Vec<u64> = notes
        .iter()
        .filter(|(point, _)| POINTS.contains(point))
        .map(|&(_, rounds)| rounds)
        .collect();
    assert_eq!(rounds.len(), POINTS.len());
    assert!(rounds[0] > 0 && rounds.is_sorted(), "{rounds:?}");
    assert_eq!(rounds[3], rounds[0] + 1, "{rounds:?}");
}

fn a_survivor_may_act_before_and_meet_a_zombie(toys: &Toys) {
    assert_passed(&toys.sweep("zombie", Points::Every));
}

fn a_helper_is_another_process(toys: &Toys) {
    assert_passed(&toys.sweep("helper", Points::Sample(0)));
}

fn threads_die_with_the_victim(toys: &Toys) {
    assert_passed(&toys.sweep("thread", Points::Sample(8)));
}

fn signals_are_passed_on(toys: &Toys) {
    assert_passed(&toys.sweep("signal", Points::Every));
}

fn another_course_each_time_is_reported(toys: &Toys) {
    let report = toys.sweep("fickle", Points::Sample(8));
    assert!(report.missed > 0);
    assert_eq!(report.failures.len(), 1);
    assert!(
        report.failures[0].reason.contains("another course"),
        "{}",
        report.failures[0]
    );
}

fn a_faulty_scenario_is_reported(toys: &Toys) {
    for (name, reason) in [
        ("exits", "exited with status 3"),
        ("hangs", "hung"),
        ("lives", "let its victim live"),
    ] {
        let report = toys.sweep(name, Points::default());
        assert_eq!(report.failures.len(), 1, "{name}");
        assert!(
            report.failures[0].reason.contains(reason),
            "{}",
            report.failures[0]
        );
    }
    let beyond = toys.sweep("hole", Points::One(usize::MAX));
    assert!(
        beyond.failures[0].reason.contains("there is no point"),
        "{}",
        beyond.failures[0]
    );
}

fn a_panic_is_a_finding(toys: &Toys) {
    let report = toys.sweep("panics", Points::Sample(0));
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].reason, "found by a panic");
    assert_eq!(report.failures[0].point, Some(report.instructions));
}

fn the_command_line_repeats_one_point(toys: &Toys) {
    let found = toys.sweep("hole", Points::Sample(0));
    let point = found.failures[0].point.expect("a point");
    let (succeeded, text) = command(&["--only", "hole", "--point", &point.to_string()]);
    assert!(!succeeded, "{text}");
    assert!(text.contains("test hole ... FAILED"), "{text}");
    assert!(
        text.contains(&format!("--only hole --point {point}")),
        "{text}"
    );
    assert!(
        text.contains("test result: FAILED. 0 passed; 1 failed;"),
        "{text}"
    );

    let left = text
        .lines()
        .find_map(|line| line.split_once("left: "))
        .expect("a place")
        .1;
    assert!(std::fs::read(format!("{left}/words")).is_ok_and(|bytes| bytes.starts_with(&[7])));
    std::fs::remove_dir_all(left).unwrap();

    let (succeeded, text) = command(&["--only", "repaired", "--every"]);
    assert!(succeeded, "{text}");
    assert!(
        text.contains("test result: ok. 1 passed; 0 failed;"),
        "{text}"
    );
}

fn a_survivor_that_hangs_ends_the_sweep(_: &Toys) {
    let (succeeded, text) = command(&["--only", "survivor-hangs"]);
    assert!(!succeeded, "{text}");
    assert!(
        text.contains("survivor-hangs: the survivor hangs"),
        "{text}"
    );
    let left = text
        .lines()
        .find_map(|line| line.split_once("left: "))
        .expect("a place")
        .1;
    std::fs::remove_dir_all(left).unwrap();
}

/// Runs this program with arguments; returns whether it succeeded, and its standard output.
fn command(arguments: &[&str]) -> (bool, String) {
    let program = env::current_exe().unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}
