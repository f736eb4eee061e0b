//! Building schemas and blank values from names and kinds, for tools without the Rust type.

use std::collections::HashSet;

use super::kind::{Kind, Member, Number};
use super::lines::{self, MAX_LEVELS};
use super::{Schema, entry};

/// The reason why fields cannot form a struct.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldsError {
    /// There are no fields.
    #[error("a struct needs at least one field")]
    Empty,
    /// The name of the type is empty or contains control characters.
    #[error("`{}` cannot be the name of a type: use letters, digits and spaces", .name.escape_debug())]
    TypeName {
        /// The rejected name.
        name: String,
    },
    /// A name cannot be the name of a field of a Rust struct.
    #[error(
        "`{}` cannot be the name of a field: use letters, digits and `_`, beginning with no digit",
        .name.escape_debug()
    )]
    Name {
        /// The rejected name.
        name: String,
    },
    /// Two fields have the same name.
    #[error("two fields have the name `{name}`")]
    Duplicate {
        /// The duplicate name.
        name: String,
    },
    /// No Rust type has the kind of the field.
    #[error("the field `{name}` {reason}")]
    Kind {
        /// The name of the field.
        name: String,
        /// The reason, as the rest of a sentence that begins with the field.
        reason: &'static str,
    },
    /// The fields together are larger than the address space.
    #[error("the fields are larger than the address space")]
    Size,
}

/// Builds a struct with these fields in this order, and `reserved` bytes where Rust would put
/// padding.
pub(super) fn from_fields(name: &str, fields: Vec<(String, Kind)>) -> Result<Schema, FieldsError> {
    if name.trim().is_empty() || name.contains(char::is_control) {
        let name = name.to_owned();
        return Err(FieldsError::TypeName { name });
    }
    let mut taken = HashSet::new();
    let mut members = Vec::new();
    let mut most = 1;
    for (name, kind) in &fields {
        check(name, kind)?;
        if !taken.insert(name.clone()) {
            let name = name.clone();
            return Err(FieldsError::Duplicate { name });
        }
        most = most.max(kind.alignment());
    }
    let mut size: usize = 0;
    for (name, kind) in fields {
        fill(&mut members, &mut size, kind.alignment(), &mut taken);
        size = size.saturating_add(kind.size());
        members.push(Member { name, kind });
    }
    fill(&mut members, &mut size, most, &mut taken);
    if members.is_empty() {
        return Err(FieldsError::Empty);
    }
    if size > isize::MAX.unsigned_abs() {
        return Err(FieldsError::Size);
    }
    Ok(Schema {
        name: name.to_owned(),
        kind: Kind::Struct {
            version: 1,
            members,
        },
    })
}

/// Fails for a field that no Rust struct can have.
fn check(name: &str, kind: &Kind) -> Result<(), FieldsError> {
    if !is_identifier(name) {
        let name = name.to_owned();
        return Err(FieldsError::Name { name });
    }
    let refuse = |reason| {
        let name = name.to_owned();
        FieldsError::Kind { name, reason }
    };
    if kind.is_of_parts() {
        return Err(refuse("is a part; a tool can only create values"));
    }
    if kind.levels() >= MAX_LEVELS {
        return Err(refuse("has too many levels of structs, arrays and lists"));
    }
    lines::check(kind).map_err(refuse)
}

/// Returns whether Rust accepts the name for a field, perhaps after `r#`.
fn is_identifier(name: &str) -> bool {
    let begins = |it: char| it.is_alphabetic() || it == '_';
    name.starts_with(begins)
        && name.chars().all(|it| it.is_alphanumeric() || it == '_')
        && !["_", "self", "Self", "super", "crate"].contains(&name)
}

/// Adds a field of bytes where Rust would put padding before a field of this alignment.
fn fill(
    members: &mut Vec<Member>,
    size: &mut usize,
    alignment: usize,
    taken: &mut HashSet<String>,
) {
    let gap = size.wrapping_neg() % alignment;
    if gap > 0 {
        let name = unused_name(taken);
        let element = Box::new(Kind::Number(Number::U8));
        let kind = Kind::Array { element, len: gap };
        members.push(Member { name, kind });
        *size = size.saturating_add(gap);
    }
}

fn unused_name(taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number: u32| format!("reserved{number}"));
    let mut names = std::iter::once("reserved".to_owned()).chain(numbered);
    names
        .find(|name| taken.insert(name.clone()))
        .unwrap_or_default()
}

/// Writes a blank value over zeros: numbers are 0, texts and lists are empty, and each enum is its
/// first variant.
pub(super) fn put_blank(kind: &Kind, bytes: &mut [u8]) {
    match kind {
        Kind::Number(_)
        | Kind::Bool
        | Kind::Text { .. }
        | Kind::List { .. }
        | Kind::Part { .. } => {}
        Kind::Enum { repr, variants } => {
            let first = variants.first().map_or(0, |variant| variant.number);
            // A variant's number always fits into the enum's repr.
            let number = entry::number_bytes(*repr, &first.to_string()).unwrap_or_default();
            for (to, from) in bytes.iter_mut().zip(number) {
                *to = from;
            }
        }
        Kind::Array { element, .. } => {
            if element.is_blank_zero() {
                return;
            }
            for bytes in bytes.chunks_exact_mut(element.size().max(1)) {
                put_blank(element, bytes);
            }
        }
        Kind::Struct { members, .. } => {
            let mut rest = bytes;
            for member in members {
                let Some((bytes, behind)) = rest.split_at_mut_checked(member.kind.size()) else {
                    return;
                };
                put_blank(&member.kind, bytes);
                rest = behind;
            }
        }
    }
}
