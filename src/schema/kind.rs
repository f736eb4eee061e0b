//! Kinds: descriptions of the bytes of a field.

use std::fmt;
use std::ops::RangeInclusive;

use super::primitive::Primitive;

/// The words of a schema's text for kinds without a name of their own.
pub(super) const BOOL: &str = "bool";
pub(super) const ENUM: &str = "enum";
pub(super) const STRUCT: &str = "struct";

/// The description of the bytes of a field.
///
/// Its text is the one in a schema: the Rust type, with `enum` and `struct` in place of the names
/// of the program's own types.
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
    /// A number in native byte order: `u64`.
    Number(Number),
    /// One byte, 0 or 1: `bool`.
    Bool,
    /// A number that stands for a variant: `enum u8 {Idle=0, Busy=1}`.
    Enum {
        /// The kind of the number.
        repr: Number,
        /// The variants, in the order of declaration.
        variants: Vec<Variant>,
    },
    /// The length in eight bytes, then this many bytes of UTF-8, then unused bytes up to the
    /// capacity: `Text<24>`.
    Text {
        /// The maximum number of bytes of UTF-8.
        capacity: usize,
    },
    /// Consecutive elements: `[u64; 8]`.
    Array {
        /// The kind of each element.
        element: Box<Kind>,
        /// The number of elements.
        len: usize,
    },
    /// The length in eight bytes, then this many elements, then unused ones up to the capacity:
    /// `List<u64, 8>`.
    List {
        /// The kind of each element.
        element: Box<Kind>,
        /// The maximum number of elements.
        capacity: usize,
    },
    /// A part of a segment of parts: `Mutex<u64>`, `Event`.
    Part {
        /// The primitive.
        primitive: Primitive,
        /// The kind of the value that it guards, if it guards one.
        value: Option<Box<Kind>>,
    },
    /// Consecutive members: `struct`, or `struct version 2`.
    Struct {
        /// The version from `#[shareable(version = …)]`, by default 1.
        version: u32,
        /// The members, in order.
        members: Vec<Member>,
    },
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variant {
    /// The name.
    pub name: String,
    /// The number that stands for it.
    pub number: i128,
}

/// A member of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The name of the field, or its number in a tuple struct.
    pub name: String,
    /// The kind of its bytes.
    pub kind: Kind,
}

/// The size in bytes of the length of a text or a list.
pub(super) const LEN: usize = size_of::<u64>();

impl Kind {
    /// Returns the size in bytes.
    pub fn size(&self) -> usize {
        // A schema from outside is rejected before a sum could overflow.
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

    /// Returns the alignment that Rust gives a field of this kind.
    pub(super) fn alignment(&self) -> usize {
        match self {
            Kind::Number(number) | Kind::Enum { repr: number, .. } => number.size(),
            Kind::Bool | Kind::Text { .. } => 1,
            Kind::Array { element, .. } | Kind::List { element, .. } => element.alignment(),
            Kind::Struct { members, .. } => {
                let members = members.iter().map(|it| it.kind.alignment());
                members.max().unwrap_or(1)
            }
            // A part has words of its own in addition to its value.
            Kind::Part { .. } => 128,
        }
    }

    /// Returns whether the bytes of a blank value are all zero.
    pub(super) fn is_blank_zero(&self) -> bool {
        match self {
            Kind::Enum { variants, .. } => variants.first().is_none_or(|it| it.number == 0),
            Kind::Array { element, .. } => element.is_blank_zero(),
            Kind::Struct { members, .. } => members.iter().all(|it| it.kind.is_blank_zero()),
            _ => true,
        }
    }

    /// Returns the number of levels of structs, arrays, lists and parts, including this kind.
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

    /// Returns the element of an array or a list, and the offset of the first one.
    pub(super) fn element(&self) -> Option<(&Kind, usize)> {
        match self {
            Kind::Array { element, .. } => Some((element, 0)),
            Kind::List { element, .. } => Some((element, LEN)),
            _ => None,
        }
    }

    /// Returns the kind whose members have their own lines below this one's: that of an element, or
    /// of the guarded value.
    pub(super) fn inner(&self) -> Option<&Kind> {
        match self {
            Kind::Part { value, .. } => value.as_deref(),
            other => other.element().map(|(element, _)| element),
        }
    }

    /// Returns whether this is a part or a struct of parts, and so not a value.
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
            Kind::Bool => f.write_str(BOOL),
            Kind::Enum { repr, variants } => {
                write!(f, "{} {} {{", ENUM, repr.name())?;
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
            Kind::Struct { version: 1, .. } => f.write_str(STRUCT),
            Kind::Struct { version, .. } => write!(f, "{STRUCT} version {version}"),
        }
    }
}

/// The kinds of numbers.
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

    /// Returns the name of its Rust type, such as `u64`.
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

    /// Returns the range of the numbers of an enum with this representation, or `None` if there is
    /// no such enum.
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

    /// Returns the size in bytes.
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
