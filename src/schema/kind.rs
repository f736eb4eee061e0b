//! Kinds: what the bytes of a field are.

use std::fmt;
use std::ops::RangeInclusive;

use super::lines;

/// Says what the bytes of a field are.
///
/// Its text is the kind's in a schema: what one writes in Rust, with `enum` and `struct` in place of the names of the
/// program's own types.
///
/// # Examples
///
/// ```
/// use sharehold::{Kind, Schema, Text};
///
/// let schema = Schema::of::<[Text<8>; 3]>();
/// assert_eq!(schema.kind().to_string(), "[Text<8>; 3]");
/// assert_eq!(schema.kind().size(), 48);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A number in the machine's byte order: `u64`.
    Number(Number),
    /// One byte, 0 or 1: `bool`.
    Bool,
    /// A number that is one of the variants': `enum u8 {Idle=0, Busy=1}`.
    Enum {
        /// The kind of number.
        repr: Number,
        /// The variants, in the order in which they are declared.
        variants: Vec<Variant>,
    },
    /// The length in eight bytes, then so many bytes of UTF-8, then others up to the capacity: `Text<24>`.
    Text {
        /// The most bytes of UTF-8 there can be.
        capacity: usize,
    },
    /// Elements one behind another: `[u64; 8]`.
    Array {
        /// What each element is.
        element: Box<Kind>,
        /// How many there are.
        len: usize,
    },
    /// The length in eight bytes, then so many elements, then others up to the capacity: `List<u64, 8>`.
    List {
        /// What each element is.
        element: Box<Kind>,
        /// The most elements there can be.
        capacity: usize,
    },
    /// A part that processes synchronize with, in a segment of parts: `Mutex<u64>`, `Event`.
    Part {
        /// Which one.
        primitive: Primitive,
        /// What it guards, where it guards a value.
        value: Option<Box<Kind>>,
    },
    /// Members one behind another: `struct`, or `struct version 2`.
    Struct {
        /// The version that `#[shareable(version = …)]` gives it, 1 by default.
        version: u32,
        /// What is in it, in order.
        members: Vec<Member>,
    },
}

/// Names a value of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variant {
    /// The name.
    pub name: String,
    /// The number that stands for it.
    pub number: i128,
}

/// Names a part of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The field's name; its number in a tuple struct.
    pub name: String,
    /// What its bytes are.
    pub kind: Kind,
}

/// Tells the parts of a segment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Primitive {
    Mutex,
    RwLock,
    OnceLock,
    Semaphore,
    Event,
    Barrier,
}

impl Primitive {
    pub(super) const ALL: [Primitive; 6] = [
        Primitive::Mutex,
        Primitive::RwLock,
        Primitive::OnceLock,
        Primitive::Semaphore,
        Primitive::Event,
        Primitive::Barrier,
    ];

    /// Returns its name in Rust, such as `Mutex`.
    pub fn name(self) -> &'static str {
        match self {
            Primitive::Mutex => "Mutex",
            Primitive::RwLock => "RwLock",
            Primitive::OnceLock => "OnceLock",
            Primitive::Semaphore => "Semaphore",
            Primitive::Event => "Event",
            Primitive::Barrier => "Barrier",
        }
    }

    /// Returns whether it guards a value.
    pub fn guards(self) -> bool {
        matches!(
            self,
            Primitive::Mutex | Primitive::RwLock | Primitive::OnceLock
        )
    }

    /// How many bytes its own words have; a value's words and copies follow.
    pub(crate) const fn head(self) -> usize {
        match self {
            Primitive::Mutex | Primitive::OnceLock | Primitive::Event => 128,
            Primitive::RwLock | Primitive::Semaphore | Primitive::Barrier => 256,
        }
    }

    /// How many marks each slot has of it.
    pub(crate) const fn marks(self) -> usize {
        match self {
            Primitive::Event => 0,
            Primitive::Mutex | Primitive::OnceLock | Primitive::Semaphore => 1,
            Primitive::RwLock | Primitive::Barrier => 2,
        }
    }

    /// How many bytes it has in all, with a value of `value` bytes: parts begin at multiples of 128.
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

/// How many bytes say how long a text or a list is.
pub(super) const LEN: usize = size_of::<u64>();

impl Kind {
    /// Returns how many bytes it has.
    pub fn size(&self) -> usize {
        // A sum that does not fit in memory is refused where schemas come from outside.
        match self {
            Kind::Number(number) => number.size(),
            Kind::Bool => 1,
            Kind::Enum { repr, .. } => repr.size(),
            Kind::Text { capacity } => LEN.saturating_add(*capacity),
            Kind::Array { element, len } => element.size().saturating_mul(*len),
            Kind::List { element, capacity } => {
                LEN.saturating_add(element.size().saturating_mul(*capacity))
            }
            Kind::Part { primitive, value } => {
                primitive.size(value.as_ref().map(|value| value.size()))
            }
            Kind::Struct { members, .. } => members
                .iter()
                .fold(0, |sum: usize, it| sum.saturating_add(it.kind.size())),
        }
    }

    /// At multiples of how many bytes Rust places a field of this kind.
    pub(super) fn alignment(&self) -> usize {
        match self {
            Kind::Number(number) | Kind::Enum { repr: number, .. } => number.size(),
            Kind::Bool | Kind::Text { .. } => 1,
            Kind::Array { element, .. } | Kind::List { element, .. } => element.alignment(),
            Kind::Struct { members, .. } => {
                let members = members.iter().map(|it| it.kind.alignment());
                members.max().unwrap_or(1)
            }
            // Parts have words of their own beside their value.
            Kind::Part { .. } => 128,
        }
    }

    /// Whether the bytes of a blank value are all zero.
    pub(super) fn is_blank_zero(&self) -> bool {
        match self {
            Kind::Enum { variants, .. } => variants.first().is_none_or(|it| it.number == 0),
            Kind::Array { element, .. } => element.is_blank_zero(),
            Kind::Struct { members, .. } => members.iter().all(|it| it.kind.is_blank_zero()),
            _ => true,
        }
    }

    /// How many levels of structs, arrays, lists and parts there are, this kind included.
    pub(super) fn levels(&self) -> usize {
        let below = match self {
            Kind::Struct { members, .. } => {
                let members = members.iter().map(|it| it.kind.levels());
                members.max().unwrap_or(0)
            }
            other => other.inner().map_or(0, Kind::levels),
        };
        below + 1
    }

    /// The element of an array or a list, and where the first one begins.
    pub(super) fn element(&self) -> Option<(&Kind, usize)> {
        match self {
            Kind::Array { element, .. } => Some((element, 0)),
            Kind::List { element, .. } => Some((element, LEN)),
            _ => None,
        }
    }

    /// The kind whose members have lines of their own below this one's: of an element, or of what a part guards.
    pub(super) fn inner(&self) -> Option<&Kind> {
        match self {
            Kind::Part { value, .. } => value.as_deref(),
            other => other.element().map(|(element, _)| element),
        }
    }

    /// Whether it is a part, or a struct of parts: something that is no value.
    pub(super) fn is_of_parts(&self) -> bool {
        match self {
            Kind::Part { .. } => true,
            Kind::Struct { members, .. } => members.iter().any(|it| it.kind.is_of_parts()),
            other => other.inner().is_some_and(Kind::is_of_parts),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Number(number) => f.write_str(number.name()),
            Kind::Bool => f.write_str(lines::BOOL),
            Kind::Enum { repr, variants } => {
                write!(f, "{} {} {{", lines::ENUM, repr.name())?;
                for (index, Variant { name, number }) in variants.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name}={number}")?;
                }
                f.write_str("}")
            }
            Kind::Text { capacity } => write!(f, "Text<{capacity}>"),
            Kind::Array { element, len } => write!(f, "[{element}; {len}]"),
            Kind::List { element, capacity } => write!(f, "List<{element}, {capacity}>"),
            Kind::Part { primitive, value } => match value {
                Some(value) => write!(f, "{}<{value}>", primitive.name()),
                None => f.write_str(primitive.name()),
            },
            Kind::Struct { version: 1, .. } => f.write_str(lines::STRUCT),
            Kind::Struct { version, .. } => write!(f, "{} version {version}", lines::STRUCT),
        }
    }
}

/// Tells the kinds of numbers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Number {
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
}

impl Number {
    pub(super) const ALL: [Number; 12] = [
        Number::U8,
        Number::U16,
        Number::U32,
        Number::U64,
        Number::U128,
        Number::I8,
        Number::I16,
        Number::I32,
        Number::I64,
        Number::I128,
        Number::F32,
        Number::F64,
    ];

    /// Returns its name in Rust, such as `u64`.
    pub fn name(self) -> &'static str {
        match self {
            Number::U8 => "u8",
            Number::U16 => "u16",
            Number::U32 => "u32",
            Number::U64 => "u64",
            Number::U128 => "u128",
            Number::I8 => "i8",
            Number::I16 => "i16",
            Number::I32 => "i32",
            Number::I64 => "i64",
            Number::I128 => "i128",
            Number::F32 => "f32",
            Number::F64 => "f64",
        }
    }

    /// What an enum made of it can have; `None` where there is no such enum.
    pub(super) fn range(self) -> Option<RangeInclusive<i128>> {
        let bits = 8 * self.size();
        match self {
            Number::U8 | Number::U16 | Number::U32 | Number::U64 => Some(0..=(1 << bits) - 1),
            Number::I8 | Number::I16 | Number::I32 | Number::I64 => {
                Some(-(1 << (bits - 1))..=(1 << (bits - 1)) - 1)
            }
            Number::U128 | Number::I128 | Number::F32 | Number::F64 => None,
        }
    }

    /// Returns how many bytes it has.
    pub fn size(self) -> usize {
        match self {
            Number::U8 | Number::I8 => 1,
            Number::U16 | Number::I16 => 2,
            Number::U32 | Number::I32 | Number::F32 => 4,
            Number::U64 | Number::I64 | Number::F64 => 8,
            Number::U128 | Number::I128 => 16,
        }
    }
}
