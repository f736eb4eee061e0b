//! How a program that is started again knows which part to play: three environment variables.

use crate::ptrace;
use crate::scenario::Scenario;
use crate::world::World;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

const SCENARIO: &str = "SHAREHOLD_SWEEP_SCENARIO";
const WORLD: &str = "SHAREHOLD_SWEEP_WORLD";
/// Set for helpers only; a process with the other two is a victim.
const HELPER: &str = "SHAREHOLD_SWEEP_HELPER";

/// The running program, even when its file has been replaced since it started.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Prepares to start this program again, as a helper or as the victim.
pub(crate) fn command(scenario: &str, world: &Path, helper: Option<&str>) -> Command {
    let mut command = Command::new(OWN_EXECUTABLE);
    command
        .env(SCENARIO, scenario)
        .env(WORLD, world)
        .stdin(Stdio::null());
    match helper {
        Some(name) => command.env(HELPER, name),
        None => command.env_remove(HELPER),
    };
    command
}

/// Plays the victim or the helper, if this process was started as one, and then never returns.
///
/// [`main`](crate::main) does this first. A program that runs sweeps by [`Scenario::sweep`] must do
/// it itself, before anything else and with the same scenarios, because victims and helpers are
/// this program, started again.
///
/// # Panics
///
/// Panics in a victim or helper, whose start names a scenario or helper that is not among
/// `scenarios`.
pub fn play_role(scenarios: &[Scenario]) {
    let (Some(name), Some(path)) = (env::var_os(SCENARIO), env::var_os(WORLD)) else {
        return;
    };
    let scenario = scenarios
        .iter()
        .find(|scenario| name == *scenario.name())
        .unwrap_or_else(|| panic!("there is no scenario {}", name.display()));
    if let Err(error) = ptrace::die_with_parent() {
        fail(&format!("cannot tie this process to its parent: {error}"));
    }
    let world = World::enter(scenario.name(), PathBuf::from(path));
    match env::var_os(HELPER).map(OsString::into_string) {
        None => scenario.play_victim(&world),
        Some(Ok(helper)) => match scenario.play_helper(&helper, &world) {
            Ok(()) => exit(0),
            Err(error) => fail(&format!("{}: helper {helper}: {error}", scenario.name())),
        },
        Some(Err(helper)) => panic!("there is no helper {}", helper.display()),
    }
}

fn fail(text: &str) -> ! {
    eprintln!("{text}");
    exit(1)
}
