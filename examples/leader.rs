//! Elects one leader among any number of processes. The other processes stand by.
//!
//! Run it in two terminals:
//!
//! ```text
//! $ cargo run --example leader
//! pid 4711 leads in term 1; press Enter to resign
//!
//! $ cargo run --example leader
//! pid 4711 leads; pid 4712 stands by
//! ```
//!
//! Kill the leader with `kill -9 4711`. Within 10 ms the standby takes over and prints:
//!
//! ```text
//! pid 4711 (leader) died holding it
//! pid 4712 leads in term 2; press Enter to resign
//! ```
//!
//! The leader is the owner of a lock. There is no lease to renew: a slow or stopped leader keeps
//! the lock, and only its death or its resignation ends the term. Put the term into each request
//! to another system. That system can then refuse a late request of an earlier leader.

use std::io;
use std::process::id;

use sharehold::{LockError, Result, Segment, SegmentGuard};

const KEY: &str = "com.example.leader";
/// The offset of the term, a `u64`.
const TERM: usize = 0;

fn main() -> Result<()> {
    // The log lets the leader change the term in one step.
    let office = Segment::options().size(8).log(64).open_or_create(KEY)?;

    let mut leadership = wait_for_leadership(&office)?;
    let term = begin_term(&mut leadership)?;
    println!("pid {} leads in term {term}; press Enter to resign", id());
    let _ = io::stdin().read_line(&mut String::new());

    println!("pid {} resigns", id());
    Ok(()) // releases the lock, and detaches
}

/// Returns when this process is the leader.
fn wait_for_leadership(office: &Segment) -> Result<SegmentGuard<'_>> {
    let outcome = match office.try_lock() {
        Err(LockError::NotAcquired(refused)) => {
            if let Some(leader) = refused.holder() {
                println!("pid {} leads; pid {} stands by", leader.pid, id());
            }
            office.lock()
        }
        free => free,
    };
    match outcome {
        Ok(leadership) => Ok(leadership),
        Err(LockError::Abandoned(found)) => {
            println!("{found}");
            // The term needs no repair, because `begin_term` changes it in a transaction.
            Ok(found.mark_consistent())
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Numbers the new term. A leader that dies here leaves the old number or the new one.
fn begin_term(leadership: &mut SegmentGuard<'_>) -> Result<u64> {
    leadership.transaction(|office| {
        let term = office.read_at::<u64>(TERM)? + 1;
        office.write_at(TERM, &term)?;
        Ok(term)
    })
}
