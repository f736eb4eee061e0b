//! The table of primitives: the name of each, its words, and its marks.

use crate::memory::format::{BarrierWords, EventWords, LockWords, ReadWriteWords, SemaphoreWords};

/// What the other modules know of a primitive.
struct Declaration {
    name: &'static str,
    /// The size of its own words.
    head: usize,
    /// Whether its words begin with a lock.
    has_lock: bool,
    /// The marks that each slot has for it.
    marks: &'static [MarkKind],
    guards: bool,
}

/// What a mark contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkKind {
    /// What the attachment has of the part, and the generation of the attachment.
    Share,
    /// The thread that holds the part's lock.
    Thread,
}

macro_rules! primitives {
    ($($name:ident: $words:ty, $has_lock:literal, $marks:expr, $guards:literal;)+) => {
        /// The kinds of synchronization objects that can be parts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Primitive {
            $(
                #[doc = concat!("A [`", stringify!($name), "`](crate::", stringify!($name), ").")]
                $name,
            )+
        }

        impl Primitive {
            /// All primitives.
            pub const ALL: &'static [Primitive] = &[$(Primitive::$name),+];

            const fn declaration(self) -> &'static Declaration {
                match self {
                    $(Primitive::$name => &Declaration {
                        name: stringify!($name),
                        head: size_of::<$words>(),
                        has_lock: $has_lock,
                        marks: &$marks,
                        guards: $guards,
                    },)+
                }
            }
        }
    };
}

use MarkKind::{Share, Thread};

// The order of the marks is that of their numbers in the code of the primitive.
primitives! {
    // name    words           begins with a lock, marks of each slot, guards a value
    Mutex:     LockWords,      true,  [Thread],        true;
    RwLock:    ReadWriteWords, true,  [Share, Thread], true;
    OnceLock:  LockWords,      true,  [Thread],        true;
    Semaphore: SemaphoreWords, true,  [Share],         false;
    Event:     EventWords,     false, [],              false;
    Barrier:   BarrierWords,   true,  [Share, Share],  false;
}

impl Primitive {
    /// Returns the name of its Rust type, such as `Mutex`.
    pub fn name(self) -> &'static str {
        self.declaration().name
    }

    /// Returns whether it guards a value.
    pub fn guards(self) -> bool {
        self.declaration().guards
    }

    /// Returns the size of its own words in bytes. The words and copies of its value follow them.
    pub(crate) const fn head(self) -> usize {
        self.declaration().head
    }

    /// Returns whether its words begin with a lock.
    pub(crate) fn has_lock(self) -> bool {
        self.declaration().has_lock
    }

    /// Returns the contents of the marks that each slot has for it.
    pub(crate) fn mark_kinds(self) -> &'static [MarkKind] {
        self.declaration().marks
    }

    /// Returns how many marks each slot has for it.
    pub(crate) const fn marks(self) -> usize {
        self.declaration().marks.len()
    }

    /// Returns its whole size in bytes with a value of `value` bytes. Parts begin at multiples of
    /// 128.
    pub(crate) const fn size(self, value: Option<usize>) -> usize {
        let copies = match value {
            None => 0,
            Some(size) => match size.checked_next_multiple_of(64) {
                Some(stride) => stride.saturating_mul(2).saturating_add(64),
                None => usize::MAX,
            },
        };
        match self
            .head()
            .saturating_add(copies)
            .checked_next_multiple_of(128)
        {
            Some(size) => size,
            None => usize::MAX,
        }
    }
}
