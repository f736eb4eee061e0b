//! The promises, each held to by real processes that are really killed, stopped, forked and shut
//! out.
//!
//! Each file is about one kind of trouble and each test is named after what is promised about it.
//! Tests and their children are processes of this program: see `sharehold_testkit`.

mod barriers;
mod bytes;
mod create;
mod daemons;
mod endings;
mod forks;
mod grow;
mod holes;
mod inspect;
mod keys;
mod life;
mod locks;
mod migrate;
mod namespaces;
mod observability;
mod qt;
mod read_only;
mod roles;
mod shortage;
mod slots;
mod squatters;
mod stale;
mod users;

use std::process::ExitCode;

fn main() -> ExitCode {
    sharehold_testkit::main([
        barriers::suite(),
        bytes::suite(),
        create::suite(),
        daemons::suite(),
        endings::suite(),
        observability::suite(),
        forks::suite(),
        grow::suite(),
        holes::suite(),
        inspect::suite(),
        keys::suite(),
        life::suite(),
        locks::suite(),
        migrate::suite(),
        namespaces::suite(),
        roles::suite(),
        qt::suite(),
        read_only::suite(),
        shortage::suite(),
        slots::suite(),
        squatters::suite(),
        stale::suite(),
        users::suite(),
    ])
}
