//! Shows the progress of many workers, and which of them died.
//!
//! Run it in two terminals. The first shows the progress, the second is a worker with 3 steps:
//!
//! ```text
//! $ cargo run --example progress
//! waiting for workers
//!
//! $ cargo run --example progress -- 3
//! step 1 of 3: press Enter when it is done
//! ```
//!
//! When you press Enter in the second terminal, the first prints `pid 4712: 1 of 3`. Start more
//! workers, and kill one of them with `kill -9 4712`. Then the first prints
//! `pid 4712: died at 1 of 3, pid 4713: 0 of 3`.

use std::{env, error::Error, io, process::id, sync::Arc, thread};

use sharehold::{List, Shareable, Shared};

const KEY: &str = "com.example.progress";

#[derive(Shareable, Default)]
#[repr(C)]
struct Worker {
    pid: u32,
    done: u32,
    steps: u32,
    is_dead: bool,
    reserved: [u8; 3],
}

type Progress = Shared<List<Worker, 64>>;

fn main() -> Result<(), Box<dyn Error>> {
    let progress: Arc<Progress> = Shared::open_or_create(KEY, List::new)?.into();
    if let Some(steps) = env::args().nth(1) {
        return work(&progress, steps.parse()?);
    }
    println!("waiting for workers");
    let watched = Arc::clone(&progress);
    thread::spawn(move || mark_the_dead(&watched).inspect_err(|error| eprintln!("{error}")));

    let mut shown = String::new();
    for change in progress.watch_since(0) {
        let workers = change?.value;
        let line = workers.iter().map(describe).collect::<Vec<_>>().join(", ");
        if line != shown {
            println!("{line}");
        }
        shown = line;
    }
    Ok(())
}

/// Does the steps, and counts each of them.
fn work(progress: &Progress, steps: u32) -> Result<(), Box<dyn Error>> {
    let pid = id();
    let new = Worker::default();
    progress.try_update(|workers| {
        workers.retain(|worker| worker.pid != pid); // of an earlier process with the same PID
        workers.push(Worker { pid, steps, ..new })?;
        Ok::<(), Box<dyn Error>>(())
    })?;
    for step in 1..=steps {
        println!("step {step} of {steps}: press Enter when it is done");
        io::stdin().read_line(&mut String::new())?;
        progress.update(|workers| {
            let mine = workers.iter_mut().filter(|worker| worker.pid == pid);
            mine.for_each(|worker| worker.done = step);
        })?;
    }
    Ok(())
}

fn describe(worker: &Worker) -> String {
    let Worker {
        pid, done, steps, ..
    } = worker;
    let died = if worker.is_dead { "died at " } else { "" };
    format!("pid {pid}: {died}{done} of {steps}")
}

/// Marks workers that ended before their last step, now and after each departure.
fn mark_the_dead(progress: &Progress) -> sharehold::Result<()> {
    let mut departures = progress.segment().departures()?;
    loop {
        progress.try_update(|workers| {
            let attached = progress.segment().attachments()?;
            for worker in workers.iter_mut() {
                worker.is_dead = worker.done < worker.steps
                    && attached.iter().all(|other| other.pid != worker.pid);
            }
            Ok::<(), sharehold::Error>(())
        })?;
        departures.next_departure()?;
    }
}
