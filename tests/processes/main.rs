//! The promises, each held to by real processes that are really killed, stopped, forked and shut out.
//!
//! Each file is about one kind of trouble and each test is named after what is promised about it. Tests and their
//! children are processes of this program: see `sharehold_testkit`.

mod create;
mod daemons;
mod forks;
mod life;
mod locks;
mod peers;
mod qt;

use std::process::ExitCode;

fn main() -> ExitCode {
    sharehold_testkit::main([
        create::suite(),
        daemons::suite(),
        forks::suite(),
        life::suite(),
        locks::suite(),
        peers::suite(),
        qt::suite(),
    ])
}
