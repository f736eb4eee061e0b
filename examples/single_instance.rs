//! Lets only one instance of a program run.
//!
//! Run it in two terminals:
//!
//! ```text
//! $ cargo run --example single_instance
//! pid 4711 is the only instance; press Enter to end it
//!
//! $ cargo run --example single_instance
//! pid 4711 runs already
//! ```
//!
//! Kill the first process with `kill -9 4711`. The next start succeeds, and there is nothing to
//! clean up.

use std::io;
use std::process::{ExitCode, id};

use sharehold::{ErrorKind, Result, Segment};

const KEY: &str = "com.example.single-instance";

fn main() -> Result<ExitCode> {
    // The attachment shows that this instance lives. It ends with the process, also by a kill.
    let _instance = match Segment::create(KEY, 1) {
        Ok(segment) => segment,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            println!("{}", describe_first()?);
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error),
    };
    println!("pid {} is the only instance; press Enter to end it", id());
    let _ = io::stdin().read_line(&mut String::new());
    Ok(ExitCode::SUCCESS)
}

/// Names the instance that runs, without attaching to its segment.
fn describe_first() -> Result<String> {
    let attachments = match sharehold::summarize(KEY) {
        Ok(summary) => summary.attachments,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(match attachments.first() {
        Some(first) => format!("pid {} runs already", first.pid),
        None => "another instance ended at this moment; start again".to_owned(),
    })
}
