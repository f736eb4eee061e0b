//! Explains how to use this library, a page for each subject.
//!
#![doc = include_str!("guide/titles.txt")]
#![doc = include_str!("../docs/guide/README.md")]

// The pages are Markdown files. A page links to other pages by their titles, and defines at its end
// where these are in the tree. The definitions in `titles.txt` come first, so they count here, and
// the same titles lead to modules.

/// Declares the module of a page, and the items that it is about.
macro_rules! page {
    ($name:ident, $file:literal, $items:literal) => {
        #[doc = include_str!("guide/titles.txt")]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/guide/", $file))]
        #[doc = concat!("\n# Items on this page\n\n", $items)]
        pub mod $name {}
    };
}

page!(
    choosing,
    "choosing.md",
    "[`Segment`](crate::Segment), [`Shared`](crate::Shared), [`Part`](trait@crate::Part)"
);
page!(
    life,
    "life.md",
    "[`Segment`](crate::Segment), [`SegmentOptions`](crate::SegmentOptions), \
     [`Policy`](crate::Policy), [`DestroyMode`](crate::DestroyMode)"
);
page!(
    deaths,
    "deaths.md",
    "[`LockError`](crate::LockError), [`Abandoned`](crate::Abandoned), \
     [`MutexGuard`](crate::MutexGuard)"
);
page!(
    values,
    "values.md",
    "[`Shared`](crate::Shared), [`Shareable`](trait@crate::Shareable), [`Text`](crate::Text), \
     [`List`](crate::List)"
);
page!(
    parts,
    "parts.md",
    "[`Part`](trait@crate::Part), [`Mutex`](crate::Mutex), [`RwLock`](crate::RwLock), \
     [`Semaphore`](crate::Semaphore), [`Event`](crate::Event), [`Barrier`](crate::Barrier), \
     [`OnceLock`](crate::OnceLock)"
);
page!(
    transactions,
    "transactions.md",
    "[`Segment::transaction`](crate::Segment::transaction), [`Transaction`](crate::Transaction), \
     [`SegmentOptions::log`](crate::SegmentOptions::log)"
);
page!(
    waiting,
    "waiting.md",
    "[`Watch`](crate::Watch), [`PollableWatch`](crate::PollableWatch), \
     [`Departures`](crate::Departures)"
);
page!(
    users,
    "users.md",
    "[`SegmentOptions::mode`](crate::SegmentOptions::mode), \
     [`SegmentOptions::group`](crate::SegmentOptions::group), \
     [`SegmentOptions::owner`](crate::SegmentOptions::owner), [`directory`](crate::directory)"
);
page!(
    upgrades,
    "upgrades.md",
    "[`SegmentOptions::migrate_shared`](crate::SegmentOptions::migrate_shared), \
     [`Segment::contents`](crate::Segment::contents), [`Schema`](crate::Schema)"
);
page!(
    testing,
    "testing.md",
    "[`Segment`](crate::Segment), [`Shared`](crate::Shared)"
);
page!(
    limits,
    "limits.md",
    "[`SegmentOptions`](crate::SegmentOptions), [`ErrorKind`](crate::ErrorKind)"
);
page!(
    comparison,
    "comparison.md",
    "`qt`, with the feature of this name"
);

/// The code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
