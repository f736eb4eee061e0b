//! The command line of a program that sweeps, close to that of a program of `cargo test`.

use crate::plan::Points;
use crate::ptrace;
use crate::report::{Report, TEST_FAILED};
use crate::role::play_role;
use crate::scenario::Scenario;
use std::env;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "\
usage: [--every | --sample N | --point N] [--only NAME] [--list] [FILTER]...
  --every      kill after every instruction, not only where others can see a difference
  --sample N   kill at N points on top of those where others can see a difference (64)
  --point N    kill after instruction N alone, and leave what it left if that is wrong
  --only NAME  sweep the scenario of exactly this name
  --list       name the scenarios and do nothing
  FILTER       sweep the scenarios whose name contains FILTER";

/// Options of `cargo test` that change nothing here.
const IGNORED: [&str; 5] = [
    "--nocapture",
    "--no-capture",
    "--show-output",
    "--quiet",
    "-q",
];

/// Sweeps the scenarios that the command line asks for, and prints one line for each.
///
/// This is what the `main` of a program with sweeps calls: a test target with `harness = false`, or
/// any other. It plays the victim or helper if the program was started as one. `--help` lists the
/// options.
pub fn main(scenarios: &[Scenario]) -> ExitCode {
    play_role(scenarios);
    match Options::parse(env::args().skip(1)) {
        Ok(options) => run(scenarios, &options),
        Err(text) => {
            eprintln!("{text}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

#[derive(Debug, Default)]
struct Options {
    points: Points,
    list: bool,
    help: bool,
    only: Option<String>,
    filters: Vec<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--every" => options.points = Points::Every,
                "--sample" => options.points = Points::Sample(number(&value()?)?),
                "--point" => options.points = Points::One(number(&value()?)?),
                "--only" => options.only = Some(value()?),
                "--list" => options.list = true,
                "--help" => options.help = true,
                "--test-threads" => drop(value()?),
                ignored if IGNORED.contains(&ignored) => {}
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}"));
                }
                filter => options.filters.push(filter.to_owned()),
            }
        }
        Ok(options)
    }

    fn selects(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
            && (self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter)))
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn run(scenarios: &[Scenario], options: &Options) -> ExitCode {
    if options.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let selected: Vec<&Scenario> = scenarios
        .iter()
        .filter(|scenario| options.selects(scenario.name()))
        .collect();
    if options.list {
        for scenario in selected {
            println!("{}: test", scenario.name());
        }
        return ExitCode::SUCCESS;
    }

    let started = Instant::now();
    println!("\nrunning {} tests", selected.len());
    let reports: Vec<Report> = if ptrace::SUPPORTED {
        selected
            .iter()
            .map(|scenario| sweep(scenario, options.points))
            .collect()
    } else {
        println!("sweeping needs Linux on x86-64: all are ignored");
        Vec::new()
    };
    let failures: Vec<_> = reports.iter().flat_map(|report| &report.failures).collect();
    if !failures.is_empty() {
        println!("\nfailures:");
    }
    for failure in failures {
        println!("\n{failure}");
    }

    let passed = reports.iter().filter(|report| report.passed()).count();
    let failed = reports.len() - passed;
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        selected.len() - reports.len(),
        scenarios.len() - selected.len(),
        started.elapsed().as_secs_f64(),
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(TEST_FAILED)
    }
}

fn sweep(scenario: &Scenario, points: Points) -> Report {
    print!("test {} ... ", scenario.name());
    // If standard output is gone, the exit status still tells.
    let _ = stdout().flush();
    let report = scenario.sweep(points);
    println!(
        "{} ({report})",
        if report.passed() { "ok" } else { "FAILED" }
    );
    report
}

#[cfg(test)]
mod tests {
    use super::{Options, Points};

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn points_are_a_sample_unless_asked_otherwise() {
        assert_eq!(parse(&[]).unwrap().points, Points::default());
        assert_eq!(parse(&["--every"]).unwrap().points, Points::Every);
        assert_eq!(parse(&["--sample", "3"]).unwrap().points, Points::Sample(3));
        assert_eq!(
            parse(&["--only", "x", "--point", "7"]).unwrap().points,
            Points::One(7)
        );
    }

    #[test]
    fn a_filter_is_a_part_of_a_name_and_only_is_all_of_it() {
        assert!(parse(&["ock"]).unwrap().selects("lock"));
        assert!(!parse(&["--only", "ock"]).unwrap().selects("lock"));
        assert!(parse(&["--only", "lock"]).unwrap().selects("lock"));
    }

    #[test]
    fn what_cargo_test_passes_to_all_is_accepted() {
        assert!(parse(&["--nocapture", "--test-threads", "1", "-q"]).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert!(parse(&["--evry"]).unwrap_err().contains("--evry"));
        assert!(parse(&["--point"]).unwrap_err().contains("--point"));
        assert!(parse(&["--point", "x"]).unwrap_err().contains('x'));
    }
}
