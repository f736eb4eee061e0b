//! Differences: one sentence that names the field and both sides.

use sharehold::{Schema, Shareable};

/// Describes a struct of these fields.
macro_rules! schema {
    ($(#[$attribute:meta])? $($field:ident: $type:ty),*) => {{
        #[derive(Shareable)]
        #[repr(C)]
        $(#[$attribute])?
        struct Sample { $($field: $type),* }
        Schema::of::<Sample>()
    }};
}

#[track_caller]
fn assert_differs(here: &Schema, there: &Schema, sentence: &str) {
    let difference = here.first_difference(there).expect("they differ");
    assert_eq!(difference.to_string(), sentence);
    assert_ne!(here.fingerprint(), there.fingerprint());
    // From the other side it is a difference too, if not always the same one.
    assert!(there.first_difference(here).is_some());
}

#[test]
fn equal_schemas_do_not_differ() {
    let here = schema!(id: u64, limit: u32, rate: f32);
    let there = schema!(id: u64, limit: u32, rate: f32);
    assert_eq!(here.first_difference(&there), None);
    assert_eq!(here.fingerprint(), there.fingerprint());
}

#[test]
fn the_first_field_that_differs_is_named() {
    let here = schema!(id: u64, limit: u32, rate: u32);
    for (there, sentence) in [
        (
            schema!(id: u64, limit: u64),
            "field `limit`: here u32 at 8, there u64 at 8",
        ),
        (
            schema!(id: u64, rate: u32, limit: u32),
            "field `limit`: here u32 at 8, there u32 at 12",
        ),
        (
            schema!(id: u64),
            "field `limit`: here u32 at 8, missing there",
        ),
        (
            schema!(id: u64, limit: u32, rate: u32, more: [u8; 8]),
            "field `more`: missing here, there [u8; 8] at 16",
        ),
        (
            schema!(id: u64, before: u64, limit: u32, rate: u32),
            "field `before`: missing here, there u64 at 8",
        ),
        (
            schema!(id: u64, rate: u32, reserved: u32),
            "field `limit`: here u32 at 8, missing there",
        ),
        (
            schema!(id: u64, bound: u32, rate: u32),
            "field `limit`: here u32 at 8, missing there",
        ),
        (
            schema!(#[shareable(version = 2)] id: u64, limit: u32, rate: u32),
            "the versions: here 1, there 2",
        ),
        (
            Schema::of::<[u64; 2]>(),
            "field `id`: here u64 at 0, missing there",
        ),
    ] {
        assert_differs(&here, &there, sentence);
    }
}

#[test]
fn members_are_compared_where_they_are() {
    mod old {
        #[derive(sharehold::Shareable)]
        #[repr(C)]
        pub(super) struct Pair(u32, u32);
    }
    mod new {
        #[derive(sharehold::Shareable)]
        #[repr(C)]
        pub(super) struct Pair(u32, i32);
    }
    mod newest {
        #[derive(sharehold::Shareable)]
        #[repr(C)]
        #[shareable(version = 2)]
        pub(super) struct Pair(u32, u32);
    }
    assert_differs(
        &schema!(a: u64, pair: old::Pair),
        &schema!(a: u64, pair: new::Pair),
        "field `pair.1`: here u32 at 12, there i32 at 12",
    );
    assert_differs(
        &schema!(a: u64, pairs: [old::Pair; 2]),
        &schema!(a: u64, pairs: [new::Pair; 2]),
        "field `pairs[].1`: here u32 at 4, there i32 at 4",
    );
    assert_differs(
        &schema!(a: u64, pairs: [old::Pair; 2]),
        &schema!(a: u64, pairs: [old::Pair; 3]),
        "field `pairs`: here [struct; 2] at 8, there [struct; 3] at 8",
    );
    assert_differs(
        &schema!(pair: old::Pair),
        &schema!(pair: newest::Pair),
        "field `pair`: here struct at 0, there struct version 2 at 0",
    );
}

#[test]
fn variants_are_compared() {
    mod old {
        #[derive(sharehold::Shareable)]
        #[repr(u8)]
        pub(super) enum State {
            Idle,
            Busy,
        }
    }
    mod new {
        #[derive(sharehold::Shareable)]
        #[repr(u8)]
        pub(super) enum State {
            Idle = 1,
            Busy,
        }
    }
    assert_differs(
        &Schema::of::<old::State>(),
        &Schema::of::<new::State>(),
        "field `.`: here enum u8 {Idle=0, Busy=1} at 0, there enum u8 {Idle=1, Busy=2} at 0",
    );
}
