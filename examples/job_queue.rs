//! Keeps the state of a job queue, and gives the job of a dead worker to another one.
//!
//! Start a worker in each of two terminals, and add jobs in a third one:
//!
//! ```text
//! $ cargo run --example job_queue
//! pid 4711 works on index; press Enter when it is done
//!
//! $ cargo run --example job_queue -- index archive
//! ```
//!
//! Kill a worker with `kill -9`, and press Enter in the terminal of the other one. It finishes
//! its own job, and takes the job of the dead worker:
//!
//! ```text
//! pid 4712 finished archive, and waits for a job
//! pid 4712 works on index; press Enter when it is done
//! ```
//!
//! The queue is persistent: `sharehold rm com.example.job-queue` removes it.

use std::{env, error::Error, io, process::id, sync::Arc, thread};

use sharehold::{List, Policy, Segment, Shareable, Shared, Text};

const KEY: &str = "com.example.job-queue";
/// The PID of no process, for a job that waits for a worker.
const FREE: u32 = 0;

#[derive(Shareable)]
#[repr(C)]
struct Job {
    name: Text<56>,
    worker: u32, // its PID, or `FREE`
}

type Queue = Shared<List<Job, 100>>;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Segment::options().policy(Policy::Persistent);
    let queue: Arc<Queue> = options.open_or_create_shared(KEY, List::new)?.into();
    let names = env::args().skip(1);
    if names.len() > 0 {
        // Adds all of the jobs, or none of them.
        return queue.try_update(|jobs| {
            for name in names {
                let name = name.parse()?;
                jobs.push(Job { name, worker: FREE })?;
            }
            Ok(())
        });
    }
    // An earlier worker may have had the PID of this one, and died with a job.
    queue.update(|jobs| release(jobs, |worker| worker == id()))?;
    let watched = Arc::clone(&queue);
    thread::spawn(move || release_jobs_of_the_dead(&watched).inspect_err(|e| eprintln!("{e}")));
    work(&queue)
}

/// Does one job after the other, until the input ends.
fn work(queue: &Queue) -> Result<(), Box<dyn Error>> {
    let me = id();
    println!("pid {me} waits for a job");
    loop {
        queue.wait_while(|jobs| jobs.iter().all(|job| job.worker != FREE))?;
        // The result is `None` if another worker was faster.
        let taken = queue.update(|jobs| {
            let job = jobs.iter_mut().find(|job| job.worker == FREE)?;
            job.worker = me;
            Some(job.name)
        })?;
        let Some(name) = taken else { continue };
        println!("pid {me} works on {name}; press Enter when it is done");
        if io::stdin().read_line(&mut String::new())? == 0 {
            return Ok(()); // the other workers release the job
        }
        queue.update(|jobs| jobs.retain(|job| job.worker != me))?;
        println!("pid {me} finished {name}, and waits for a job");
    }
}

/// Releases the jobs of workers that are not attached any more, now and after each departure.
fn release_jobs_of_the_dead(queue: &Queue) -> sharehold::Result<()> {
    let mut departures = queue.segment().departures()?;
    loop {
        queue.try_update(|jobs| {
            let workers = queue.segment().attachments()?;
            release(jobs, |pid| workers.iter().all(|worker| worker.pid != pid));
            Ok::<(), sharehold::Error>(())
        })?;
        departures.next_departure()?;
    }
}

fn release(jobs: &mut List<Job, 100>, is_gone: impl Fn(u32) -> bool) {
    for job in jobs.iter_mut().filter(|job| is_gone(job.worker)) {
        job.worker = FREE;
    }
}
