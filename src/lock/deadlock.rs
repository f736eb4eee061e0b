//! Wait cycles: threads that wait for each other, found from their wait records. This is only for
//! reports: such a wait ends by a timeout or a death.
//!
//! A thread waits for one lock at a time, and a lock has one owner. So at most one path leads on
//! from each thread, and a wait cycle is a path that comes back. The search leaves out tasks,
//! because it cannot tell which task owns a lock, and readers and permits, which have several
//! holders.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::error::Named;
use crate::memory::format::LockWords;
use crate::segment::id::AttachmentId;
use crate::segment::record::Recorded;
use crate::segment::waits::WaitRecord;
use crate::segment::{Attachment, Segment};
use crate::sys::{self, Identity};

/// A thread of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Party {
    who: Identity,
    thread: u32,
}

impl Party {
    /// `None` if the process is not known: the value would equal that of a thread in another
    /// unknown process.
    fn new(who: Identity, thread: u32) -> Option<Party> {
        who.is_known().then_some(Party { who, thread })
    }
}

/// The fact that one thread waits for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The waiter's attachment.
    pub(crate) id: AttachmentId,
    pub(crate) waiter: Party,
    pub(crate) holder: Party,
    pub(crate) record: WaitRecord,
}

impl Edge {
    /// The edge of a wait record; `None` if one of the threads is not known, or its process is no
    /// longer recorded.
    pub(crate) fn new(
        id: AttachmentId,
        record: WaitRecord,
        recorded: impl Fn(AttachmentId) -> Option<Recorded>,
    ) -> Option<Edge> {
        let party = |id, thread| Party::new(recorded(id)?.who, thread);
        Some(Edge {
            id,
            waiter: party(id, record.thread?)?,
            holder: party(record.holder, record.holding_thread?)?,
            record,
        })
    }
}

/// Returns the path from one thread to another, in which each thread waits for the next; `None` if
/// the path ends before.
pub(crate) fn way<E: AsRef<Edge>>(edges: &[E], from: Party, to: Party) -> Option<Vec<&E>> {
    let mut way = Vec::new();
    let mut here = from;
    while here != to {
        let next = edges.iter().find(|it| it.as_ref().waiter == here)?;
        // The path is a cycle that does not contain `to`.
        if way.len() == edges.len() {
            return None;
        }
        way.push(next);
        here = next.as_ref().holder;
    }
    Some(way)
}

impl AsRef<Edge> for Edge {
    fn as_ref(&self) -> &Edge {
        self
    }
}

/// Describes how the owner of a lock waits in turn for this thread, through locks of the same
/// segment: `waits for …, held by this thread`. `None` if it does not wait for this thread.
pub(crate) fn explain(
    segment: &Segment,
    holder: AttachmentId,
    holding_thread: u32,
) -> Option<String> {
    let attached = segment.attached();
    let own_thread = sys::thread_id(attached.generation);
    let me = Party::new(sys::identity().ok()?, own_thread)?;
    let first = Party::new(segment.recorded(holder)?.who, holding_thread)?;
    let edges = edges(segment);
    let way = way(&edges, first, me)?;
    if way.iter().any(|edge| segment.is_gone(edge.id)) {
        return None;
    }
    let schema = attached.schema(super::error::LOCK).ok().flatten();
    let data = attached.memory.layout().data_offset;
    let mut said = String::new();
    for (index, edge) in way.into_iter().enumerate() {
        if index > 0 {
            let who = segment.recorded(edge.id)?;
            let who = Attachment::of(edge.id, &who);
            write!(said, "held by {}, which ", Named(&who)).ok()?;
        }
        let place = edge.record.lock as usize * align_of::<LockWords>();
        let part = place.checked_sub(data);
        let part = part.and_then(|at| schema.as_ref()?.part_at(at));
        let lock = part.map_or_else(|| "its lock".to_owned(), |path| format!("`{path}`"));
        write!(said, "waits for {lock}, ").ok()?;
    }
    Some(said + "held by this thread")
}

/// Returns the wait edges of all attachments of the segment, living and dead, for each wait record
/// whose lock still has the recorded owner.
fn edges(segment: &Segment) -> Vec<Edge> {
    let memory = &segment.attached().memory;
    let holds = |record: &WaitRecord| {
        let owner = memory
            .lock_at(record.lock)
            .map(|it| it.owner.load(Ordering::Relaxed));
        owner.map(AttachmentId::from_word) == Some(record.holder)
    };
    let all = segment.wait_records().into_iter();
    let standing = all.filter(|(_, record)| holds(record));
    standing
        .filter_map(|(id, record)| Edge::new(id, record, |id| segment.recorded(id)))
        .collect()
}
