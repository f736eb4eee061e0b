//! A schema as lines of text: its form in a segment, for programs in any language and for people.
//!
//! ```text
//! size 88 version 1 type Account
//! 0 8 id u64
//! 8 32 name Text<24>
//! 40 16 limits struct
//! 40 8 limits.min u64
//! 48 8 limits.max u64
//! 56 32 moves [struct; 2]
//! 0 8 moves[].amount i64
//! 8 8 moves[].at u64
//! ```
//!
//! The first line has the size of a value in bytes, the version of its type, and the name of the
//! type, which may contain spaces. Each further line describes a field: its offset, its size, its
//! path, and its kind, which may contain spaces. Every line ends with a line feed. Fields are in
//! the order of their offsets, a struct before its members. The members of an element have `[]` in
//! their path, once for each array or list around them, and offsets from the beginning of the
//! element. The value that a part guards is described in the same way, with offsets from the
//! beginning of a copy. A value that is not a struct has one field with the path `.`.
//!
//! A kind is a number (`u8` to `u128`, `i8` to `i128`, `f32`, `f64`), `bool`, `Text<capacity>`,
//! `[kind; count]`, `List<kind, capacity>`, `enum number {Name=1, Other=2}`, `struct`, or
//! `struct version 2` if the version is not 1. In a segment of parts it is `Mutex<kind>`,
//! `RwLock<kind>`, `OnceLock<kind>`, `Semaphore`, `Event`, `Barrier`, or a struct of these. Texts
//! and lists begin with eight bytes of length. There is no padding.
//!
//! Each schema has exactly one text, so equal texts mean equal schemas. Its fingerprint is the
//! first eight bytes of the SHA-256 of the text without ` type ` and the name.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use super::Schema;
use super::kind::{BOOL, ENUM, Kind, LEN, Member, Number, STRUCT, Variant};
use super::primitive::Primitive;

/// The path of a value that is not a struct.
pub(super) const WHOLE: &str = ".";
const ELEMENT: &str = "[]";
/// The maximum number of levels of structs, arrays, lists and parts in a schema.
///
/// Functions that walk a kind recurse once for each level, so this limits their stack.
pub(super) const MAX_LEVELS: usize = 32;

/// The location and the kind of a field.
///
/// Its text is its line in a schema: offset, size, path and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The name of the field, after those of the structs around it: `limits.max`.
    pub path: String,
    /// The kind of its bytes.
    pub kind: Kind,
    /// The offset in bytes from the beginning of the value, or of the element if the path contains
    /// `[]`.
    pub offset: usize,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Field { path, kind, offset } = self;
        write!(f, "{offset} {} {path} {kind}", kind.size())
    }
}

/// The error for a text that is not a schema. It names the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a schema: line {line} {detail}")]
pub struct ParseSchemaError {
    line: usize,
    detail: &'static str,
}

/// The error for a text that does not describe a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a kind: {reason}")]
pub struct ParseKindError {
    text: String,
    reason: &'static str,
}

const KINDS: &str = "the kinds are u8 to u128, i8 to i128, f32, f64, bool, Text<24>, [u64; 8], \
                     List<u64, 8>, enum u8 {Idle=0, Busy=1}";

/// Parses a kind from its text in a schema, with or without spaces after commas and semicolons.
///
/// Fails for a struct, because the text does not contain its members.
impl FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Kind, ParseKindError> {
        let refuse = |reason| ParseKindError {
            text: text.to_owned(),
            reason,
        };
        let mut rest = text;
        let kind = kind_from(&mut rest, 1).filter(|_| rest.is_empty());
        let Some(kind) = kind else {
            let is_enum = text.starts_with(ENUM) && !text.contains('=');
            return Err(refuse(if is_enum {
                "each variant needs its number, such as enum u8 {Idle=0, Busy=1}"
            } else {
                KINDS
            }));
        };
        if matches!(kind, Kind::Struct { .. }) {
            return Err(refuse(KINDS));
        }
        check(&kind).map_err(refuse)?;
        if spaceless(&kind.to_string()) != spaceless(text) {
            return Err(refuse(KINDS));
        }
        Ok(kind)
    }
}

fn spaceless(text: &str) -> String {
    text.chars().filter(|it| *it != ' ').collect()
}

/// Returns the fields of a value of this kind, in the order of their lines.
pub(super) fn fields(root: &Kind) -> Vec<Field> {
    let mut found = Vec::new();
    match root {
        Kind::Struct { members, .. } => add_members(members, "", 0, &mut found),
        other => add(other, WHOLE, 0, &mut found),
    }
    found
}

fn add(kind: &Kind, path: &str, offset: usize, found: &mut Vec<Field>) {
    found.push(Field {
        path: path.to_owned(),
        kind: kind.clone(),
        offset,
    });
    let mut inner = kind;
    let mut path = path.trim_start_matches(WHOLE).to_owned();
    let mut start = offset;
    while let Some(below) = inner.inner() {
        inner = below;
        path.push_str(ELEMENT);
        start = 0;
    }
    if let Kind::Struct { members, .. } = inner {
        add_members(members, &path, start, found);
    }
}

fn add_members(members: &[Member], path: &str, mut offset: usize, found: &mut Vec<Field>) {
    let dot = if path.is_empty() { "" } else { "." };
    for Member { name, kind } in members {
        add(kind, &format!("{path}{dot}{name}"), offset, found);
        offset = offset.saturating_add(kind.size());
    }
}

/// Returns the text, with or without the name.
pub(super) fn write(schema: &Schema, with_name: bool) -> String {
    let mut text = format!("size {} version {}", schema.size(), schema.version());
    if with_name {
        text.push_str(" type ");
        text.push_str(schema.name());
    }
    text.push('\n');
    for field in schema.fields() {
        text.push_str(&field.to_string());
        text.push('\n');
    }
    text
}

pub(super) fn parse(text: &str) -> Result<Schema, ParseSchemaError> {
    let refuse = |line, detail| ParseSchemaError { line, detail };
    let mut lines = (1..).zip(text.lines());
    let first = lines.next().map_or("", |(_, line)| line);
    let Head { version, name, .. } = head(first).ok_or(refuse(
        1,
        "is not `size` and `version` and `type`, each with its value",
    ))?;
    let mut kind = Kind::Struct {
        version,
        members: Vec::new(),
    };
    for (number, line) in lines {
        let mut words = line.splitn(4, ' ').skip(2);
        let (Some(path), Some(mut rest)) = (words.next(), words.next()) else {
            return Err(refuse(
                number,
                "is not an offset, a size, a path and a kind",
            ));
        };
        let found = kind_from(&mut rest, 1).filter(|_| rest.is_empty());
        let found = found.ok_or(refuse(number, "has an unknown kind, or too many levels"))?;
        if path == WHOLE && number == 2 {
            kind = found;
        } else {
            place(&mut kind, path, found).map_err(|detail| refuse(number, detail))?;
        }
    }
    check(&kind).map_err(|detail| refuse(1, detail))?;
    let schema = Schema {
        name: name.to_owned(),
        kind,
    };
    // The parser is lenient. So compare the text with the one that would be written: sizes,
    // offsets, order, and every character.
    let written = schema.to_text();
    if written == text {
        return Ok(schema);
    }
    let mut pairs = (1..).zip(written.lines().zip(text.lines()));
    let differs = pairs.find(|(_, (written, given))| written != given);
    let line = differs.map_or(text.lines().count(), |(line, _)| line);
    Err(refuse(line, "is not as a schema has it"))
}

/// Returns whether the beginning of a schema's text, in whole lines, describes parts, or `None` if
/// a later line determines this: a struct contains either only parts or none.
pub(super) fn begins_with_part(text: &str) -> Option<bool> {
    let kinds = text
        .lines()
        .skip(1)
        .filter_map(|line| line.splitn(4, ' ').nth(3));
    let mut kinds = kinds.filter(|kind| !kind.starts_with(STRUCT));
    let first = kinds.next()?;
    Some(
        Primitive::ALL
            .iter()
            .any(|primitive| first.starts_with(primitive.name())),
    )
}

/// The first line of a schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) size: usize,
    pub(crate) version: u32,
    pub(crate) name: &'a str,
}

/// Parses the first line.
pub(super) fn head(line: &str) -> Option<Head<'_>> {
    let rest = line.strip_prefix("size ")?;
    let (size, rest) = rest.split_once(" version ")?;
    let (version, name) = rest.split_once(" type ")?;
    let is_name = !name.is_empty() && !name.contains(char::is_control);
    is_name.then_some(Head {
        size: size.parse().ok()?,
        version: version.parse().ok()?,
        name,
    })
}

/// Adds a field to the struct that its path leads to, which is the last one of the schema so far.
fn place(root: &mut Kind, path: &str, kind: Kind) -> Result<(), &'static str> {
    const NOWHERE: &str = "has a path that leads nowhere";
    let mut node = root;
    let mut level = 1;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let name = part.trim_end_matches(ELEMENT);
        if !name.is_empty() {
            let Kind::Struct { members, .. } = node else {
                return Err(NOWHERE);
            };
            if parts.peek().is_none() {
                if level + kind.levels() > MAX_LEVELS {
                    return Err("has too many levels of structs, arrays, lists and parts");
                }
                let name = name.to_owned();
                members.push(Member { name, kind });
                return Ok(());
            }
            let last = members.last_mut().filter(|last| last.name == name);
            node = &mut last.ok_or(NOWHERE)?.kind;
            level += 1;
        } else if level > 1 {
            return Err(NOWHERE);
        }
        while let Kind::Array { element: below, .. }
        | Kind::List { element: below, .. }
        | Kind::Part {
            value: Some(below), ..
        } = node
        {
            node = below;
            level += 1;
        }
    }
    Err(NOWHERE)
}

/// Checks that a Rust type could have this kind. The error completes "line 3 …" or "field `x` …".
pub(super) fn check(kind: &Kind) -> Result<(), &'static str> {
    match kind {
        Kind::Struct { members, .. } => {
            let mut names = HashSet::new();
            if members.is_empty() {
                return Err("has a struct without fields");
            }
            if !members
                .iter()
                .all(|it| is_name(&it.name) && names.insert(&it.name))
            {
                return Err("has a struct with a duplicate or invalid field name");
            }
            members.iter().try_for_each(|it| check(&it.kind))?;
            let parts = members.iter().filter(|it| it.kind.is_of_parts()).count();
            if parts != 0 && parts != members.len() {
                return Err("has a struct of parts and of values");
            }
        }
        Kind::Part { primitive, value } => {
            if value.is_some() != primitive.guards() {
                return Err("has a part that guards what it cannot guard");
            }
            value.iter().try_for_each(|it| check_value(it))?;
        }
        Kind::Enum { repr, variants } => {
            let range = repr
                .range()
                .ok_or("has an enum of numbers it cannot have")?;
            let mut names = HashSet::new();
            let mut numbers = HashSet::new();
            let sound = variants.iter().all(|Variant { name, number }| {
                let fits = range.contains(number);
                fits && is_name(name) && names.insert(name) && numbers.insert(*number)
            });
            if variants.is_empty() || !sound {
                return Err("has an enum without variants, or with a duplicate or invalid one");
            }
        }
        Kind::Array { element, len } => {
            if *len == 0 {
                return Err("has an array without elements");
            }
            check_value(element)?;
        }
        Kind::List { element, capacity } => {
            if *capacity == 0 {
                return Err("has a list without room for elements");
            }
            check_value(element)?;
            if element.alignment() > LEN {
                return Err(
                    "has a list of elements that are aligned to more than 8 bytes; \
                            use [u64; 2] in place of u128",
                );
            }
        }
        Kind::Text { capacity: 0 } => return Err("has a text without room for bytes"),
        Kind::Number(_) | Kind::Bool | Kind::Text { .. } => {}
    }
    if kind.size() > isize::MAX.unsigned_abs() {
        return Err("has a size beyond the address space");
    }
    Ok(())
}

/// Checks a kind inside an array, a list or a part, where only values are allowed.
fn check_value(kind: &Kind) -> Result<(), &'static str> {
    if kind.is_of_parts() {
        return Err("has a part where only values can be");
    }
    check(kind)
}

/// Returns whether a name is distinguishable from the text around it. Rust allows letters of many
/// scripts, so this does not list them.
fn is_name(name: &str) -> bool {
    let is_other = |it: char| it.is_whitespace() || it.is_control() || ".,;=[]{}<>".contains(it);
    !name.is_empty() && !name.contains(is_other)
}

/// Takes a kind from the beginning of the text. Structs have no members yet.
fn kind_from(rest: &mut &str, level: usize) -> Option<Kind> {
    if level > MAX_LEVELS {
        return None;
    }
    let boxed = |rest: &mut &str| kind_from(rest, level + 1).map(Box::new);
    if take(rest, "[").is_some() {
        let element = boxed(rest)?;
        take_mark(rest, ";")?;
        let len = count(rest)?;
        take(rest, "]")?;
        return Some(Kind::Array { element, len });
    }
    if take(rest, "List<").is_some() {
        let element = boxed(rest)?;
        take_mark(rest, ",")?;
        let capacity = count(rest)?;
        take(rest, ">")?;
        return Some(Kind::List { element, capacity });
    }
    if take(rest, "Text<").is_some() {
        let capacity = count(rest)?;
        take(rest, ">")?;
        return Some(Kind::Text { capacity });
    }
    for &primitive in Primitive::ALL {
        if take(rest, primitive.name()).is_some() {
            let value = match take(rest, "<") {
                Some(()) => {
                    let value = boxed(rest)?;
                    take(rest, ">")?;
                    Some(value)
                }
                None => None,
            };
            return Some(Kind::Part { primitive, value });
        }
    }
    if take(rest, STRUCT).is_some() {
        let version = match take(rest, " version ") {
            Some(()) => count(rest)?.try_into().ok()?,
            None => 1,
        };
        let members = Vec::new();
        return Some(Kind::Struct { version, members });
    }
    if take(rest, ENUM).is_some() {
        take(rest, " ")?;
        let repr = number_from(rest)?;
        take(rest, " {")?;
        let (inside, behind) = rest.split_once('}')?;
        *rest = behind;
        let variant = |text: &str| {
            let (name, number) = text.split_once('=')?;
            Some(Variant {
                name: name.to_owned(),
                number: number.parse().ok()?,
            })
        };
        let variants = inside
            .split(',')
            .map(|it| variant(it.trim_matches(' ')))
            .collect::<Option<_>>()?;
        return Some(Kind::Enum { repr, variants });
    }
    if take(rest, BOOL).is_some() {
        return Some(Kind::Bool);
    }
    number_from(rest).map(Kind::Number)
}

fn number_from(rest: &mut &str) -> Option<Number> {
    let mut all = Number::ALL.into_iter();
    all.find(|it| take(rest, it.name()).is_some())
}

fn count(rest: &mut &str) -> Option<usize> {
    let end = rest.find(|it: char| !it.is_ascii_digit());
    let (digits, behind) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = behind;
    digits.parse().ok()
}

/// Takes a mark and the spaces after it.
fn take_mark(rest: &mut &str, mark: &str) -> Option<()> {
    take(rest, mark)?;
    *rest = rest.trim_start_matches(' ');
    Some(())
}

fn take(rest: &mut &str, what: &str) -> Option<()> {
    *rest = rest.strip_prefix(what)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_says_whether_it_is_of_parts() {
        let inner = "size 1280 version 1 type Config\n0 512 inner struct\n0 512 inner.limits RwLock<[u64; 2]>\n512 384 total Mutex<u64>\n896 384 more OnceLock<u64>\n";
        let whole = "size 384 version 1 type Mutex\n0 384 . Mutex<u64>\n";
        let value = "size 16 version 1 type Value\n0 8 inner struct\n0 8 inner.a u64\n8 8 b enum u64 {Mutex=0}\n";
        for (text, of_parts) in [(inner, true), (whole, true), (value, false)] {
            let schema = Schema::parse(text).expect("it is one");
            assert_eq!(schema.is_of_parts(), of_parts);
            assert_eq!(begins_with_part(text), Some(of_parts), "{text}");
        }
        let (head, _) = inner.split_at(inner.find("0 512 inner.limits").expect("it is there"));
        assert_eq!(begins_with_part(head), None);
        assert_eq!(begins_with_part(""), None);
    }
}
