//! Lets only one instance of a program run, which is what most people use `QSharedMemory` for.
//!
//! ```text
//! $ cargo run --example single_instance        # in one terminal
//! $ cargo run --example single_instance        # in another: says who runs already
//! ```
//!
//! Kill the first one with `kill -9`: the next start succeeds, with nothing to clear away.

use std::io::{self, BufRead};
use std::process::{ExitCode, id};

use sharehold::{ErrorKind, Result, Segment};

const KEY: &str = "com.example.single-instance";

fn main() -> Result<ExitCode> {
    // Kept until the end: it says that this instance lives, and the kernel takes it back whatever ends the process.
    let _instance = match Segment::create(KEY, 1) {
        Ok(segment) => segment,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            println!("{}", describe_first()?);
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error),
    };
    println!("pid {} is the only instance; press Enter to end it", id());
    // It does not matter how the wait ends.
    let _ = io::stdin().lock().read_line(&mut String::new());
    Ok(ExitCode::SUCCESS)
}

fn describe_first() -> Result<String> {
    // Looking does not take the place of the one that is looked at.
    for listed in sharehold::list()? {
        if let Ok(segment) = listed.summary
            && segment.key == KEY
            && let Some(first) = segment.attachments.first()
        {
            return Ok(format!("pid {} runs already", first.pid));
        }
    }
    Ok("another instance ran until just now; start again".to_owned())
}
