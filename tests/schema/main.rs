//! Types as they are in shared memory: described, compared, moved in and out, and read without the
//! type.

mod build;
mod derived;
mod difference;
mod field;
mod list;
mod parse;
mod python;
mod text;

use sharehold::{List, Shareable, Text};

/// A type that uses everything there is.
#[derive(Debug, Clone, PartialEq, Shareable)]
#[repr(C)]
#[shareable(version = 3)]
pub(crate) struct Everything {
    pub(crate) unsigned: Unsigned,
    pub(crate) signed: Signed,
    pub(crate) ratio: f64,
    pub(crate) scale: f32,
    pub(crate) open: bool,
    pub(crate) state: State,
    pub(crate) r#type: [bool; 2],
    pub(crate) name: Text<12>,
    pub(crate) tags: [Text<4>; 2],
    pub(crate) reserved: [u8; 4],
    pub(crate) moves: List<Move, 3>,
    pub(crate) grid: [[Cell; 2]; 2],
    pub(crate) level: Level,
    pub(crate) history: List<State, 10>,
}

#[derive(Debug, Clone, PartialEq, Shareable)]
#[repr(C)]
pub(crate) struct Unsigned {
    pub(crate) huge: u128,
    pub(crate) long: u64,
    pub(crate) middle: u32,
    pub(crate) short: u16,
    pub(crate) bytes: [u8; 2],
}

#[derive(Debug, Clone, PartialEq, Shareable)]
#[repr(C)]
#[shareable(version = 2)]
pub(crate) struct Signed {
    pub(crate) huge: i128,
    pub(crate) long: i64,
    pub(crate) middle: [i32; 1],
    pub(crate) short: i16,
    pub(crate) bytes: [i8; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(u8)]
pub(crate) enum State {
    Idle,
    Busy = 7,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(i16)]
pub(crate) enum Level {
    Low = -1,
    High = 1 << 8,
}

/// A tuple struct, whose fields are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(C)]
pub(crate) struct Move(pub(crate) i32, pub(crate) u32);

/// Three bytes, so that elements lie across words.
#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(C)]
pub(crate) struct Cell {
    pub(crate) color: [u8; 2],
    pub(crate) alive: bool,
}
