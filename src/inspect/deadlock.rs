//! Wait cycles: threads, in any processes and segments, that wait for each other.

use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::lock::deadlock::{Edge, way};
use crate::lock::state::{self, OWN_LOCK, moment, named};
use crate::segment::id::AttachmentId;
use crate::segment::{Attachment, LivenessCheck, View, look_at_all_users};

/// A waiter checks at least this often whether the holder is still the same, and updates its wait
/// record.
const LOOKED_AGAIN: Duration = Duration::from_millis(150);

/// A wait cycle. None of its threads proceeds unless one of them has a timeout or dies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlock {
    /// The waits: each thread waits for the next one, and the last one for the first.
    pub waits: Vec<WaitEdge>,
}

/// One wait of a wait cycle: a thread waits for a lock that another thread holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitEdge {
    /// The attachment that waits.
    pub waiter: Attachment,
    /// The thread that waits, numbered as its process sees it.
    pub thread: u32,
    /// The key of the segment.
    pub key: String,
    /// The path of the part whose lock it waits for; `None` for the segment's own.
    pub part: Option<String>,
    /// The attachment that holds the lock.
    pub holder: Attachment,
    /// The time at which the wait began.
    pub since: SystemTime,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wait) in self.waits.iter().enumerate() {
            let key = wait.key.escape_debug();
            match index {
                0 => write!(f, "pid {} waits for ", wait.waiter.pid)?,
                _ => write!(f, ", which waits for ")?,
            }
            match &wait.part {
                Some(path) => write!(f, "`{path}` of `{key}`")?,
                None => write!(f, "the lock of `{key}`")?,
            }
            write!(f, ", held by pid {}", wait.holder.pid)?;
        }
        Ok(())
    }
}

/// An edge with its description for display.
#[derive(Debug, Clone, PartialEq)]
struct LabelledEdge {
    edge: Edge,
    wait: WaitEdge,
}

impl AsRef<Edge> for LabelledEdge {
    fn as_ref(&self) -> &Edge {
        &self.edge
    }
}

/// Finds threads that wait for each other through the locks of segments and their parts. It covers
/// this user's segments and all others that [`list_all_users`](crate::list_all_users) lists.
///
/// It follows mutexes, the initialization of a [`OnceLock`](crate::OnceLock), the writers of an
/// [`RwLock`](crate::RwLock) and the locks of segments, as far as sleeping threads have wait
/// records. It does not follow tasks, the readers of an `RwLock` that keep a writer out, and
/// permits. If it finds a cycle, it checks again after 150 ms and reports only cycles that still
/// exist, because a snapshot of changing locks can show a cycle that never existed.
///
/// # Errors
///
/// As [`list`](crate::list()). Segments that cannot be read are left out.
///
/// # Examples
///
/// ```
/// for found in sharehold::deadlocks()? {
///     eprintln!("{found}");
/// }
/// # Ok::<(), sharehold::Error>(())
/// ```
pub fn deadlocks() -> Result<Vec<Deadlock>> {
    let found = cycles(&edges()?);
    if found.is_empty() {
        return Ok(Vec::new());
    }
    thread::sleep(LOOKED_AGAIN);
    let again = edges()?;
    let lasts = |cycle: &Vec<LabelledEdge>| cycle.iter().all(|seen| again.contains(seen));
    let lasting = found.into_iter().filter(lasts);
    let told = lasting.map(|cycle| Deadlock {
        waits: cycle.into_iter().map(|seen| seen.wait).collect(),
    });
    Ok(told.collect())
}

/// Returns each cycle once, starting with its first edge.
fn cycles(edges: &[LabelledEdge]) -> Vec<Vec<LabelledEdge>> {
    let mut found: Vec<Vec<LabelledEdge>> = Vec::new();
    for first in edges {
        if found.iter().flatten().any(|seen| seen == first) {
            continue;
        }
        let Edge { waiter, holder, .. } = first.edge;
        if let Some(way) = way(edges, holder, waiter) {
            let whole = std::iter::once(first).chain(way);
            found.push(whole.cloned().collect());
        }
    }
    found
}

fn edges() -> Result<Vec<LabelledEdge>> {
    let all = look_at_all_users(|view| Ok(edges_of(&view)))?.into_iter();
    let seen = all.filter_map(|it| it.seen.ok());
    Ok(seen.flatten().collect())
}

fn edges_of(view: &View) -> Vec<LabelledEdge> {
    let records = state::records(view, LivenessCheck::Thorough).into_iter();
    let standing = records.filter(|(_, record)| view.owner_at(record.lock) == Some(record.holder));
    let recorded = |id: AttachmentId| view.recorded(id);
    let edges = standing.filter_map(|(id, record)| Edge::new(id, record, recorded));
    let seen = edges.filter_map(|edge| {
        let of_part = edge.record.lock != OWN_LOCK;
        let path = || super::parts::path_of(view, &view.schema().ok()??, edge.record.lock);
        Some(LabelledEdge {
            wait: WaitEdge {
                waiter: named(view, edge.id)?,
                thread: edge.record.thread?,
                key: view.found.key.clone(),
                part: if of_part { path() } else { None },
                holder: named(view, edge.record.holder)?,
                since: moment(edge.record.began)?,
            },
            edge,
        })
    });
    seen.collect()
}
