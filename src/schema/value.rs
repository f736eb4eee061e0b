//! Values without their Rust type: finding a field by its path, and reading it from bytes.

use std::fmt;

use super::entry;
use super::kind::{Kind, LEN, Number, Variant};
use super::lines::{self, Field, WHOLE};

/// The value of a field, as far as its schema can describe it.
///
/// Its text is for people, and [`Schema::set`](crate::Schema::set) accepts it. A text is printed
/// without quotes at the top level, and quoted inside another value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// An unsigned number.
    Unsigned(u128),
    /// A signed number.
    Signed(i128),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// A value of an enum.
    Variant(Variant),
    /// Text.
    Text(String),
    /// The elements of an array or a list.
    Sequence(Vec<FieldValue>),
    /// The members of a struct, each with its name.
    Struct(Vec<(String, FieldValue)>),
}

/// The reason why a field cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The schema has no such field.
    #[error("there is no field `{path}`")]
    Unknown {
        /// The requested path.
        path: String,
    },
    /// The array or list has no such element.
    #[error("there is no element {index} in `{path}`, which has {len}, counted from 0")]
    OutOfRange {
        /// The path of the array or list.
        path: String,
        /// The requested index.
        index: usize,
        /// The number of elements.
        len: usize,
    },
    /// The number of bytes is not the size of a value.
    #[error("expected {expected} bytes, found {found}")]
    WrongSize {
        /// The size of a value in bytes.
        expected: usize,
        /// The number of bytes that were given.
        found: usize,
    },
    /// The bytes are no valid value of the kind.
    #[error("the bytes of `{path}` are no value of {kind}")]
    Invalid {
        /// The path of the field.
        path: String,
        /// Its kind.
        kind: Kind,
    },
    /// The text does not describe a value of the kind.
    #[error("`{path}` cannot be changed: {reason}")]
    Unfit {
        /// The path of the field.
        path: String,
        /// The given text, and the accepted ones.
        reason: String,
    },
}

/// Finds a field. If the bytes of a value are given, an element of a list is found only within the
/// list's length.
pub(super) fn find(root: &Kind, path: &str, bytes: Option<&[u8]>) -> Result<Field, FieldError> {
    let unknown = || FieldError::Unknown {
        path: path.to_owned(),
    };
    let mut kind = root;
    let mut offset = 0;
    let mut rest = match path {
        "" => return Err(unknown()),
        WHOLE => "",
        path => path,
    };
    while !rest.is_empty() {
        let before = &path[..path.len() - rest.len()];
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, behind) = inside.split_once(']').ok_or_else(unknown)?;
            let index = index.parse().map_err(|_| unknown())?;
            let (element, start) = kind.element().ok_or_else(unknown)?;
            let value = bytes.and_then(|bytes| bytes.get(offset..));
            let len = count(kind, value).ok_or_else(|| invalid(before, kind))?;
            if index >= len {
                let path = before.to_owned();
                return Err(FieldError::OutOfRange { path, index, len });
            }
            offset += start + index * element.size();
            kind = element;
            rest = behind;
        } else {
            let name = if before.is_empty() {
                rest
            } else {
                rest.strip_prefix('.').ok_or_else(unknown)?
            };
            let (name, behind) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
            let Kind::Struct { members, .. } = kind else {
                return Err(unknown());
            };
            let index = members.iter().position(|it| it.name == name);
            let index = index.ok_or_else(unknown)?;
            offset += members[..index]
                .iter()
                .map(|it| it.kind.size())
                .sum::<usize>();
            kind = &members[index].kind;
            rest = behind;
        }
    }
    Ok(Field {
        path: path.to_owned(),
        kind: kind.clone(),
        offset,
    })
}

/// Returns the number of elements of an array or list: the capacity of a list, or its length if its
/// bytes are given. Returns `None` if these bytes are no valid list.
fn count(kind: &Kind, bytes: Option<&[u8]>) -> Option<usize> {
    match (kind, bytes) {
        (Kind::Array { len, .. }, _) => Some(*len),
        (Kind::List { capacity, .. }, None) => Some(*capacity),
        (Kind::List { capacity, .. }, Some(bytes)) => length(bytes, *capacity),
        _ => None,
    }
}

/// Returns the length at the beginning of a text or list, if it is within the capacity.
fn length(bytes: &[u8], capacity: usize) -> Option<usize> {
    let len = u64::from_ne_bytes(*bytes.first_chunk()?);
    usize::try_from(len).ok().filter(|&len| len <= capacity)
}

pub(super) fn get(root: &Kind, bytes: &[u8], path: &str) -> Result<FieldValue, FieldError> {
    check_size(root, bytes)?;
    let Field { kind, offset, .. } = find(root, path, Some(bytes))?;
    let value = bytes.get(offset..offset + kind.size());
    let value = value.and_then(|bytes| decode(&kind, bytes));
    value.ok_or_else(|| invalid(path, &kind))
}

pub(super) fn set(root: &Kind, bytes: &mut [u8], path: &str, text: &str) -> Result<(), FieldError> {
    check_size(root, bytes)?;
    let Field { kind, offset, .. } = find(root, path, Some(bytes))?;
    let new = entry::encode(&kind, text).map_err(|reason| FieldError::Unfit {
        path: path.to_owned(),
        reason,
    })?;
    if let Some(place) = bytes.get_mut(offset..offset + new.len()) {
        place.copy_from_slice(&new);
    }
    Ok(())
}

/// Fails if the bytes are no valid value, and names the first invalid field.
pub(super) fn check(root: &Kind, bytes: &[u8]) -> Result<(), FieldError> {
    check_size(root, bytes)?;
    if is_value(root, bytes) {
        return Ok(());
    }
    let fields = lines::fields(root).into_iter();
    let known = fields.filter(|it| {
        let place = it.offset..it.offset + it.kind.size();
        !it.path.contains("[]")
            && !matches!(it.kind, Kind::Struct { .. })
            && !bytes
                .get(place)
                .is_some_and(|bytes| is_value(&it.kind, bytes))
    });
    let (path, kind) = known
        .map(|it| (it.path, it.kind))
        .next()
        .unwrap_or_else(|| (WHOLE.to_owned(), root.clone()));
    Err(invalid(&path, &kind))
}

/// Returns whether the bytes are a valid value, without decoding it: a picture may be a million
/// numbers.
fn is_value(kind: &Kind, bytes: &[u8]) -> bool {
    match kind {
        Kind::Number(number) => bytes.len() == number.size(),
        Kind::Array { element, .. } | Kind::List { element, .. } => {
            let start = kind.element().map_or(0, |(_, start)| start);
            let Some((len, elements)) = count(kind, Some(bytes)).zip(bytes.get(start..)) else {
                return false;
            };
            let mut elements = elements.chunks_exact(element.size().max(1)).take(len);
            matches!(**element, Kind::Number(_)) || elements.all(|it| is_value(element, it))
        }
        Kind::Struct { members, .. } => {
            let mut rest = bytes;
            members.iter().all(|member| {
                rest.split_at_checked(member.kind.size())
                    .is_some_and(|(bytes, behind)| {
                        rest = behind;
                        is_value(&member.kind, bytes)
                    })
            })
        }
        Kind::Bool | Kind::Enum { .. } | Kind::Text { .. } | Kind::Part { .. } => {
            decode(kind, bytes).is_some()
        }
    }
}

fn check_size(root: &Kind, bytes: &[u8]) -> Result<(), FieldError> {
    let (expected, found) = (root.size(), bytes.len());
    if expected == found {
        Ok(())
    } else {
        Err(FieldError::WrongSize { expected, found })
    }
}

fn invalid(path: &str, kind: &Kind) -> FieldError {
    FieldError::Invalid {
        path: path.to_owned(),
        kind: kind.clone(),
    }
}

/// Decodes the bytes, or returns `None` if they are no valid value of the kind.
fn decode(kind: &Kind, bytes: &[u8]) -> Option<FieldValue> {
    match kind {
        Kind::Number(number) => number_from(*number, bytes),
        Kind::Bool => match bytes {
            [0] => Some(FieldValue::Bool(false)),
            [1] => Some(FieldValue::Bool(true)),
            _ => None,
        },
        Kind::Enum { repr, variants } => {
            let number = match number_from(*repr, bytes)? {
                FieldValue::Unsigned(number) => number.try_into().ok()?,
                FieldValue::Signed(number) => number,
                _ => return None,
            };
            let variant = variants.iter().find(|it| it.number == number)?;
            Some(FieldValue::Variant(variant.clone()))
        }
        Kind::Text { capacity } => {
            let text = bytes.get(LEN..)?.get(..length(bytes, *capacity)?)?;
            Some(FieldValue::Text(str::from_utf8(text).ok()?.to_owned()))
        }
        Kind::Array { element, .. } | Kind::List { element, .. } => {
            let (element, start) = (element, kind.element()?.1);
            let elements = bytes.get(start..)?.chunks_exact(element.size().max(1));
            let there = elements.take(count(kind, Some(bytes))?);
            let values = there
                .map(|bytes| decode(element, bytes))
                .collect::<Option<_>>()?;
            Some(FieldValue::Sequence(values))
        }
        Kind::Part { .. } => None,
        Kind::Struct { members, .. } => {
            let mut rest = bytes;
            let mut values = Vec::new();
            for member in members {
                let (bytes, behind) = rest.split_at_checked(member.kind.size())?;
                values.push((member.name.clone(), decode(&member.kind, bytes)?));
                rest = behind;
            }
            Some(FieldValue::Struct(values))
        }
    }
}

fn number_from(number: Number, bytes: &[u8]) -> Option<FieldValue> {
    macro_rules! read {
        ($type:ident) => {
            $type::from_ne_bytes(bytes.try_into().ok()?)
        };
    }
    Some(match number {
        Number::U8 => FieldValue::Unsigned(read!(u8).into()),
        Number::U16 => FieldValue::Unsigned(read!(u16).into()),
        Number::U32 => FieldValue::Unsigned(read!(u32).into()),
        Number::U64 => FieldValue::Unsigned(read!(u64).into()),
        Number::U128 => FieldValue::Unsigned(read!(u128)),
        Number::I8 => FieldValue::Signed(read!(i8).into()),
        Number::I16 => FieldValue::Signed(read!(i16).into()),
        Number::I32 => FieldValue::Signed(read!(i32).into()),
        Number::I64 => FieldValue::Signed(read!(i64).into()),
        Number::I128 => FieldValue::Signed(read!(i128)),
        Number::F32 => FieldValue::F32(read!(f32)),
        Number::F64 => FieldValue::F64(read!(f64)),
    })
}

impl FieldValue {
    /// Writes the value as a component of another value.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Text(text) => write!(f, "{text:?}"),
            other => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Unsigned(number) => number.fmt(f),
            FieldValue::Signed(number) => number.fmt(f),
            FieldValue::F32(number) => write!(f, "{number:?}"),
            FieldValue::F64(number) => write!(f, "{number:?}"),
            FieldValue::Bool(value) => value.fmt(f),
            FieldValue::Variant(variant) => f.write_str(&variant.name),
            FieldValue::Text(text) => f.write_str(text),
            FieldValue::Sequence(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    value.write(f)?;
                }
                f.write_str("]")
            }
            FieldValue::Struct(members) => {
                f.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name}: ")?;
                    value.write(f)?;
                }
                f.write_str("}")
            }
        }
    }
}
