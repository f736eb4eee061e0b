//! Keeps the configuration of several processes in one place. Each process sees a change at once.
//!
//! Run it in two terminals. The first follows the configuration, the second changes it:
//!
//! ```text
//! $ cargo run --example shared_config
//! workers 4, log level info
//!
//! $ cargo run --example shared_config -- workers 8
//! $ cargo run --example shared_config -- log_level debug
//! $ cargo run --example shared_config -- workers 0
//! Error: "there must be a worker"
//! ```
//!
//! The first process prints `workers 8, log level info`, and then `workers 8, log level debug`.
//! It never sees the change that was refused.
//!
//! Start the first command in a third terminal, and kill the process in the first one with
//! `kill -9`. The third one still has the configuration and follows it. If a process is killed
//! while it changes the configuration, the others see the old values or the new ones.
//!
//! Other programs read and change it with `sharehold get com.example.shared-config`.

use std::env;
use std::error::Error;

use sharehold::{Shareable, Shared, Text};

const KEY: &str = "com.example.shared-config";

#[derive(Shareable, Clone, Copy)]
#[repr(C)]
struct Config {
    workers: u32,
    log_level: Text<28>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let first = Config {
        workers: 4,
        log_level: "info".parse()?,
    };
    let config = Shared::open_or_create(KEY, || first)?;
    let mut arguments = env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(name), Some(value)) => config.try_update(|config| change(config, &name, &value)),
        _ => follow(&config),
    }
}

/// Changes one entry. An error leaves the whole configuration as it was.
fn change(config: &mut Config, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    match name {
        "workers" => config.workers = value.parse()?,
        "log_level" => config.log_level = value.parse()?,
        _ => return Err(format!("there is no entry {name}").into()),
    }
    if config.workers == 0 {
        return Err("there must be a worker".into());
    }
    Ok(())
}

/// Prints the configuration now and after each change.
fn follow(config: &Shared<Config>) -> Result<(), Box<dyn Error>> {
    for change in config.watch_since(0) {
        let config = change?.value;
        println!("workers {}, log level {}", config.workers, config.log_level);
    }
    Ok(())
}
