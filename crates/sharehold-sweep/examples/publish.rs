//! Sweeps a writer that publishes a file by renaming it: a reader never finds half of it.

use sharehold_sweep::{Death, Scenario, World};
use std::process::ExitCode;
use std::{fs, io};

const TEXT: &str = "all of it";

fn main() -> ExitCode {
    sharehold_sweep::main(&[Scenario::new(
        "publish",
        |world| {
            let draft = world.path().join("draft");
            let public = world.path().join("public");
            move || {
                fs::write(&draft, TEXT)?;
                fs::rename(&draft, &public)
            }
        },
        |world, victim| {
            let death = victim.die()?;
            Ok(check(world, death)?)
        },
    )])
}

fn check(world: &World, death: Death) -> Result<(), String> {
    match fs::read_to_string(world.path().join("public")) {
        Ok(text) if text == TEXT => Ok(()),
        Ok(text) => Err(format!("half of it is public: {text:?}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !death.completed() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
