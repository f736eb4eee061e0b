//! Sharehold's own side of the jobs: the same verbs as the peers, through the library's public
//! interface.

use std::hint::black_box;

use anyhow::{Result, bail};
use sharehold::{DestroyMode, LockError, Policy, Segment, SegmentGuard};

use crate::harness::{self, Held, Peer, now, say, start_line, times};
use crate::parts::Primitive;
use crate::{turns, values};

/// What the runner starts itself with.
#[derive(Debug, clap::Args)]
pub(crate) struct Worker {
    /// The lock of a part instead of the segment's own
    #[arg(long)]
    part: Option<Primitive>,
    verb: String,
    path: String,
    #[arg(default_value = "0")]
    number: u64,
    #[arg(default_value = "0")]
    second: usize,
}

/// Runs one verb.
pub(crate) fn work(worker: &Worker) -> Result<()> {
    let Worker {
        part,
        verb,
        path,
        number,
        second,
    } = worker;
    if let Some(primitive) = part {
        return primitive.run(verb, path, *number, *second);
    }
    match verb.as_str() {
        "life" => life(path, *number),
        "attach" => attach(path, *number),
        "copy" => copy(path, *number, *second),
        "make-large" => make_persistent(path, usize::try_from(*number)?),
        "crowd" => crowd(path, *number, *second),
        "keys" => keys(path, *number, *second),
        "make-value" | "get" | "update" | "write" => values::run(verb, path, *number, *second),
        "make-turns" => turns::make(path),
        "make-events" => turns::make_events(path),
        "turns-by-event" => turns::take_by_event(path, *number, *second),
        "turns-by-event-in-tasks" => turns::take_by_event_in_task(path, *number, *second),
        "turns" => turns::take(path, *number, *second as u64),
        "turns-in-tasks" => turns::take_in_task(path, *number, *second as u64),
        _ => harness::run::<Ours>(verb, path, *number),
    }
}

/// One attachment; the number is the first of the segment.
struct Ours(Segment);

impl Peer for Ours {
    type Held<'a> = SegmentGuard<'a>;

    fn make(key: &str) -> Result<()> {
        make_persistent(key, 4096)
    }

    fn unmake(key: &str) -> Result<()> {
        Ok(Segment::destroy(key, DestroyMode::Immediate)?)
    }

    fn join(key: &str) -> Result<Ours> {
        Ok(Ours(Segment::attach(key)?))
    }

    // As the peers in C have it: no call in the loop that is measured.
    #[inline(always)]
    fn lock(&self) -> Result<SegmentGuard<'_>> {
        match self.0.lock() {
            Ok(guard) => Ok(guard),
            Err(error) => recover(error),
        }
    }
}

#[cold]
fn recover(error: LockError<'_>) -> Result<SegmentGuard<'_>> {
    match error {
        LockError::Abandoned(found) => Ok(found.mark_consistent()),
        other => Err(sharehold::Error::from(other).into()),
    }
}

impl Held for SegmentGuard<'_> {
    #[inline(always)]
    fn get(&self) -> Result<u64> {
        Ok(self.read_at(0)?)
    }

    #[inline(always)]
    fn set(&mut self, value: u64) -> Result<()> {
        Ok(self.write_at(0, &value)?)
    }
}

fn make_persistent(key: &str, size: usize) -> Result<()> {
    let options = Segment::options().size(size).policy(Policy::Persistent);
    Ok(options.create(key)?.detach()?)
}

/// Create, attach, detach and destroy `number` times, each step timed.
fn life(key: &str, number: u64) -> Result<()> {
    let begin = start_line()?;
    let mut steps = [0; 4];
    for _ in 0..number {
        let t0 = now();
        let creator = Segment::create(key, 4096)?;
        let t1 = now();
        let other = Segment::attach(key)?;
        let t2 = now();
        other.detach()?;
        let t3 = now();
        // The last one out.
        creator.detach()?;
        let t4 = now();
        for (step, time) in steps.iter_mut().zip([t1 - t0, t2 - t1, t3 - t2, t4 - t3]) {
            *step += time;
        }
    }
    let [create, attach, detach, destroy] = steps;
    let times = times(begin, number);
    say(&format!(
        "{times} create={create} attach={attach} detach={detach} destroy={destroy}"
    ))
}

/// Attaches to what is there, reads one byte and detaches, `number` times.
fn attach(key: &str, number: u64) -> Result<()> {
    let begin = start_line()?;
    for _ in 0..number {
        let segment = Segment::attach(key)?;
        black_box(recovered(&segment)?.read_at::<u8>(0)?);
        segment.detach()?;
    }
    say(&times(begin, number))
}

fn recovered(segment: &Segment) -> Result<SegmentGuard<'_>> {
    segment.lock().or_else(recover)
}

/// Copies blocks into all of a segment and out again, `number` times; `block` bytes at once.
fn copy(key: &str, number: u64, block: usize) -> Result<()> {
    let segment = Segment::attach(key)?;
    let mut buffer = vec![7; block];
    let mut guard = recovered(&segment)?;
    let last = segment.size() - block;
    let begin = start_line()?;
    let mut copied_in = 0;
    for _ in 0..number {
        for offset in (0..=last).step_by(block) {
            guard.write(offset, black_box(&buffer))?;
        }
    }
    copied_in += now() - begin;
    for _ in 0..number {
        for offset in (0..=last).step_by(block) {
            guard.read(offset, black_box(&mut buffer))?;
        }
    }
    say(&format!("{} in={copied_in}", times(begin, number)))
}

/// Costs of one more attachment, and of its lock, beside `present` others.
fn crowd(key: &str, number: u64, present: usize) -> Result<()> {
    let creator = Segment::options()
        .size(4096)
        .slots(present + 2)
        .create(key)?;
    let others = (0..present)
        .map(|_| Segment::attach(key))
        .collect::<sharehold::Result<Vec<_>>>()?;
    let begin = start_line()?;
    let (mut attach, mut detach) = (0, 0);
    for _ in 0..number {
        let t0 = now();
        let one_more = Segment::attach(key)?;
        let t1 = now();
        one_more.detach()?;
        let t2 = now();
        attach += t1 - t0;
        detach += t2 - t1;
    }
    let t0 = now();
    for _ in 0..number * 1000 {
        drop(recovered(&creator)?);
    }
    let lock = (now() - t0) / 1000;
    say(&format!(
        "{} attach={attach} detach={detach} lock={lock}",
        times(begin, number)
    ))?;
    drop(others);
    Ok(())
}

/// Costs of a segment's life beside `present` other segments, and of listing them all.
fn keys(prefix: &str, number: u64, present: usize) -> Result<()> {
    for other in 0..present {
        make_persistent(&format!("{prefix}.{other}"), 1)?;
    }
    let begin = start_line()?;
    for _ in 0..number {
        let creator = Segment::create(prefix, 4096)?;
        Segment::attach(prefix)?.detach()?;
        creator.detach()?;
    }
    let life = now() - begin;
    let t0 = now();
    let listed = sharehold::list()?.len();
    let list = now() - t0;
    let times = times(begin, number);
    for other in 0..present {
        Segment::destroy(&format!("{prefix}.{other}"), DestroyMode::Immediate)?;
    }
    if listed != present {
        bail!("listed {listed} segments of {present}");
    }
    say(&format!("{times} life={life} list={list}"))
}
