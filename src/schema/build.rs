//! Schemas that no Rust type stands behind, and first values for them: what tools make from words.

use std::collections::HashSet;

use super::kind::{Kind, Member, Number};
use super::{ParseSchemaError, Schema, entry, lines};

/// The schema of a struct with these fields in this order, and `reserved` bytes where Rust would put padding.
pub(super) fn from_fields(
    name: &str,
    fields: Vec<(String, Kind)>,
) -> Result<Schema, ParseSchemaError> {
    let mut taken: HashSet<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    let mut members = Vec::new();
    let mut size: usize = 0;
    let mut most = 1;
    let mut fill = |members: &mut Vec<Member>, size: &mut usize, alignment: usize| {
        let gap = size.wrapping_neg() % alignment;
        if gap > 0 {
            let name = unused_name(&mut taken);
            let element = Box::new(Kind::Number(Number::U8));
            let kind = Kind::Array { element, len: gap };
            members.push(Member { name, kind });
            *size = size.saturating_add(gap);
        }
    };
    for (name, kind) in fields {
        fill(&mut members, &mut size, alignment(&kind));
        most = most.max(alignment(&kind));
        size = size.saturating_add(kind.size());
        members.push(Member { name, kind });
    }
    fill(&mut members, &mut size, most);
    let schema = Schema {
        name: name.to_owned(),
        kind: Kind::Struct {
            version: 1,
            members,
        },
    };
    // Names and sizes are checked where schemas come from outside.
    lines::parse(&schema.to_text())
}

fn unused_name(taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number: u32| format!("reserved{number}"));
    let mut names = std::iter::once("reserved".to_owned()).chain(numbered);
    names
        .find(|name| taken.insert(name.clone()))
        .unwrap_or_default()
}

/// At multiples of how many bytes Rust puts such a field.
fn alignment(kind: &Kind) -> usize {
    match kind {
        Kind::Number(number) | Kind::Enum { repr: number, .. } => number.size(),
        Kind::Bool | Kind::Text { .. } => 1,
        Kind::Array { element, .. } | Kind::List { element, .. } => alignment(element),
        Kind::Struct { members, .. } => {
            let members = members.iter().map(|it| alignment(&it.kind));
            members.max().unwrap_or(1)
        }
        // Parts have words of their own beside their value.
        Kind::Part { .. } => 128,
    }
}

/// Adds a value that says nothing yet: zeros, empty texts and lists, and of each enum the first variant.
pub(super) fn put_blank(kind: &Kind, bytes: &mut Vec<u8>) {
    match kind {
        Kind::Number(_)
        | Kind::Bool
        | Kind::Text { .. }
        | Kind::List { .. }
        | Kind::Part { .. } => {
            bytes.resize(bytes.len() + kind.size(), 0);
        }
        Kind::Enum { repr, variants } => {
            let first = variants.first().map_or(0, |variant| variant.number);
            // A variant's number is one that its enum can have.
            bytes.extend(entry::number_bytes(*repr, &first.to_string()).unwrap_or_default());
        }
        Kind::Array { element, len } => {
            for _ in 0..*len {
                put_blank(element, bytes);
            }
        }
        Kind::Struct { members, .. } => {
            for member in members {
                put_blank(&member.kind, bytes);
            }
        }
    }
}
