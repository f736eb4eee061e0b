//! Sharehold's own side of the jobs about typed values: reading them without a lock, and changing
//! them whole.
//!
//! A value of `size` bytes is an array of numbers; the sizes are those of [`SIZES`].

use std::hint::black_box;

use anyhow::{Result, bail};
use sharehold::{Policy, Segment, Shareable, Shared};

use crate::harness::{say, start_line, times};

/// The sizes that can be asked for, in bytes, and what people call them.
pub(crate) const SIZES: [(usize, &str); 4] = [
    (SMALL, "64 B"),
    (PAGE, "4 KiB"),
    (LARGE, "64 KiB"),
    (HUGE, "1 MiB"),
];

const SMALL: usize = 64;
const PAGE: usize = 4 << 10;
const LARGE: usize = 64 << 10;
const HUGE: usize = 1 << 20;

/// Runs one verb on a value of `size` bytes.
pub(crate) fn run(verb: &str, key: &str, number: u64, size: usize) -> Result<()> {
    match size {
        SMALL => of::<{ SMALL / 8 }>(verb, key, number),
        PAGE => of::<{ PAGE / 8 }>(verb, key, number),
        LARGE => of::<{ LARGE / 8 }>(verb, key, number),
        HUGE => of::<{ HUGE / 8 }>(verb, key, number),
        _ => bail!("there is no value of {size} bytes"),
    }
}

// Each loop has a function of its own, as it would in a program: the registers of all sizes
// together are not enough.
fn of<const WORDS: usize>(verb: &str, key: &str, number: u64) -> Result<()>
where
    [u64; WORDS]: Shareable,
{
    match verb {
        "make-value" => make::<WORDS>(key),
        "get" => get::<WORDS>(key, number),
        "update" => update::<WORDS>(key, number),
        _ => write::<WORDS>(key, number),
    }
}

#[inline(never)]
fn make<const WORDS: usize>(key: &str) -> Result<()>
where
    [u64; WORDS]: Shareable,
{
    let options = Segment::options().policy(Policy::Persistent);
    Ok(options.create_shared(key, &[0_u64; WORDS])?.detach()?)
}

/// Takes `number` snapshots.
#[inline(never)]
fn get<const WORDS: usize>(key: &str, number: u64) -> Result<()>
where
    [u64; WORDS]: Shareable,
{
    let value = Shared::<[u64; WORDS]>::attach(key)?;
    let begin = start_line()?;
    for _ in 0..number {
        black_box(&value.get()?);
    }
    say(&times(begin, number))
}

/// Changes all of the value `number` times.
#[inline(never)]
fn update<const WORDS: usize>(key: &str, number: u64) -> Result<()>
where
    [u64; WORDS]: Shareable,
{
    let value = Shared::<[u64; WORDS]>::attach(key)?;
    let begin = start_line()?;
    for _ in 0..number {
        value.update(|words| words.iter_mut().for_each(|word| *word += 1))?;
    }
    say(&times(begin, number))
}

/// The same with plain bytes: locks, reads, writes what it made of them.
#[inline(never)]
fn write<const WORDS: usize>(key: &str, number: u64) -> Result<()> {
    let segment = Segment::create(&format!("{key}.bytes"), WORDS * 8)?;
    let mut bytes = vec![0; WORDS * 8];
    let begin = start_line()?;
    for _ in 0..number {
        let mut guard = segment.lock().map_err(sharehold::Error::from)?;
        guard.read(0, &mut bytes)?;
        for word in bytes.chunks_exact_mut(8) {
            let number = u64::from_ne_bytes(word.try_into()?) + 1;
            word.copy_from_slice(&number.to_ne_bytes());
        }
        guard.write(0, &bytes)?;
    }
    say(&times(begin, number))
}
