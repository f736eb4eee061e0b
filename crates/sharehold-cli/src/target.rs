//! What a path names: a field of a segment's typed value, or of the value that one of its parts
//! guards, or a part itself.
//!
//! Commands that look see a segment from outside, without attaching; commands that change attach to
//! it.

use std::time::Duration;

use anyhow::Result;
use sharehold::{
    Error, ErrorKind, FieldValue, Inspection, Kind, Number, PartInfo, Primitive, Schema,
    SegmentOptions, UntypedGuarded, UntypedParts, UntypedShared,
};

use crate::exit::{Exit, Failure};
use crate::{format, hint, primitive};

/// The path of a whole value.
pub(crate) const WHOLE: &str = ".";

/// A value that was seen from outside, and where in it a path leads.
pub(crate) struct Seen {
    pub(crate) schema: Schema,
    pub(crate) bytes: Vec<u8>,
    /// The path in this value.
    pub(crate) path: String,
    /// How often the value was changed.
    pub(crate) version: u64,
}

impl Seen {
    /// What stands at the path.
    pub(crate) fn value(&self) -> Result<FieldValue> {
        let found = self.schema.get(&self.bytes, &self.path);
        found.map_err(|error| hint::for_field(error, &self.schema))
    }
}

/// Inspects a segment that is in use or persistent.
pub(crate) fn look(options: &SegmentOptions, key: &str) -> Result<Inspection> {
    let seen = options.inspect(key)?;
    if seen.summary.is_stale() {
        let (key, hint) = (format::visible(key), hint::for_stale(key));
        let detail = format!("cannot look at `{key}`: {hint}");
        return Err(Failure::new(Exit::NotFound, detail).into());
    }
    Ok(seen)
}

/// Refuses a stale segment, before a command attaches to it to change it.
///
/// Attaching removes a stale segment. That is right for programs, which replace it, but a person
/// may want what it holds.
pub(crate) fn expect_users(options: &SegmentOptions, key: &str) -> Result<()> {
    // Attaching reports the error too, and then removes nothing.
    if options.exists(key).unwrap_or(true) {
        return Ok(());
    }
    match options.summarize(key) {
        Ok(summary) if !summary.is_stale() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => {
            let (key, hint) = (format::visible(key), hint::for_stale(key));
            let detail = format!("cannot change `{key}`: {hint}");
            Err(Failure::new(Exit::NotFound, detail).into())
        }
    }
}

/// What a path leads to in a segment that was looked at; `None` for a part whose value is not made
/// yet.
pub(crate) fn at(seen: Inspection, path: &str) -> Result<Option<Seen>> {
    let key = format::visible(&seen.summary.key);
    let Some(schema) = seen.schema? else {
        let detail = format!(
            "`{key}` holds plain bytes, which have no fields; `sharehold read` prints them"
        );
        return Err(Failure::new(Exit::Damaged, detail).into());
    };
    if !schema.is_of_parts() {
        return Ok(Some(Seen {
            bytes: seen.content?,
            version: seen.summary.version.unwrap_or_default(),
            path: path.to_owned(),
            schema,
        }));
    }
    let (part, _, rest) = schema.part_of(path).ok_or_else(|| no_part(&schema, path))?;
    let found = seen.parts.iter().find(|it| it.path == part);
    let found = found.ok_or_else(|| no_part(&schema, path))?;
    Ok(of_part(&schema, found, rest))
}

/// What a part says: its value, whether it is set, or how many permits or arrivals it has.
pub(crate) fn of_part(schema: &Schema, part: &PartInfo, rest: String) -> Option<Seen> {
    if let Some(guarded) = schema.guarded_by(&part.path) {
        return part.value.clone().map(|bytes| Seen {
            schema: guarded,
            bytes,
            path: rest,
            version: part.version.unwrap_or_default(),
        });
    }
    let (schema, bytes) = primitive::reading(&part.state)?;
    // It has no versions: a change is another value.
    let version = bytes
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    Some(Seen {
        schema,
        bytes,
        path: rest,
        version,
    })
}

/// What stands at a path, which must have a value.
pub(crate) fn value_at(seen: Inspection, path: &str) -> Result<Seen> {
    at(seen, path)?.ok_or_else(|| {
        let detail = format!("`{path}` has no value yet: it is not initialized");
        Failure::new(Exit::NotFound, detail).into()
    })
}

fn no_part(schema: &Schema, path: &str) -> anyhow::Error {
    let fields = schema.fields();
    let parts = fields
        .iter()
        .filter(|it| matches!(it.kind, Kind::Part { .. }));
    let names: Vec<&str> = parts.map(|it| it.path.as_str()).collect();
    if path == WHOLE {
        let detail = format!(
            "there is no value of all parts together; name one of them: {}. Each is read and changed on its own, as in \
             `sharehold set KEY PART JSON --json`; `sharehold get KEY` prints all",
            names.join(", ")
        );
        return Failure::new(Exit::Usage, detail).into();
    }
    let hint = match hint::nearest(path, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("its parts are {}", names.join(", ")),
    };
    let detail = format!("there is no part `{}`; {hint}", format::visible(path));
    Failure::new(Exit::NotFound, detail).into()
}

/// A value that can be changed: all of a segment, or what one of its parts guards.
pub(crate) enum Target {
    Value(Box<UntypedShared>),
    Part(UntypedGuarded),
}

impl Target {
    /// Attaches to what holds all of these fields; and the fields' paths in it.
    pub(crate) fn attach(
        options: &SegmentOptions,
        key: &str,
        paths: &[&str],
    ) -> Result<(Target, Vec<String>)> {
        expect_users(options, key)?;
        let parts = match options.attach_untyped(key) {
            Ok(shared) => {
                let paths = paths.iter().map(|path| (*path).to_owned()).collect();
                return Ok((Target::Value(Box::new(shared)), paths));
            }
            Err(error) => parts_or(options, key, error)?,
        };
        let schema = parts.schema();
        let mut in_part: Option<String> = None;
        let mut rests = Vec::new();
        for path in paths {
            let (part, primitive, rest) =
                schema.part_of(path).ok_or_else(|| no_part(schema, path))?;
            if !primitive.guards() {
                return Err(not_a_value(path, primitive));
            }
            if in_part.as_ref().is_some_and(|other| *other != part) {
                let detail =
                    "fields of two parts cannot change in one update; change one part at a time";
                return Err(Failure::new(Exit::Usage, detail).into());
            }
            in_part = Some(part);
            rests.push(rest);
        }
        let guarded = parts.guarded(&in_part.unwrap_or_default())?;
        Ok((Target::Part(guarded), rests))
    }

    pub(crate) fn schema(&self) -> &Schema {
        match self {
            Target::Value(shared) => shared.schema(),
            Target::Part(guarded) => guarded.schema(),
        }
    }

    /// Changes the value, all of it or nothing, waiting at most for a time that is given.
    pub(crate) fn update<R>(
        &self,
        timeout: Option<Duration>,
        change: impl FnOnce(&mut [u8]) -> Result<R>,
    ) -> Result<R> {
        match (self, timeout) {
            (Target::Value(shared), None) => shared.try_update(change),
            (Target::Value(shared), Some(limit)) => shared.try_update_timeout(limit, change),
            (Target::Part(guarded), None) => guarded.try_update(change),
            (Target::Part(guarded), Some(limit)) => guarded.try_update_timeout(limit, change),
        }
    }

    pub(crate) fn detach(self) -> Result<()> {
        if let Target::Value(shared) = self {
            shared.detach()?;
        }
        Ok(())
    }
}

/// Attaches to a segment of parts. Of one that is none, the error is that of attaching to its
/// value.
fn parts_or(options: &SegmentOptions, key: &str, error: Error) -> Result<UntypedParts> {
    if error.kind() != ErrorKind::TypeMismatch {
        return Err(error.into());
    }
    match options.attach_any_parts(key) {
        Err(other) if other.kind() == ErrorKind::TypeMismatch => Err(error.into()),
        parts => Ok(parts?),
    }
}

fn not_a_value(path: &str, primitive: Primitive) -> anyhow::Error {
    let hint = primitive::commands(primitive);
    let detail = format!(
        "`{path}` is a {}, which holds no value; {hint}",
        primitive.name()
    );
    Failure::new(Exit::Usage, detail).into()
}

/// The name of padding that `sharehold create --fields` and Rust programs put between fields.
pub(crate) fn is_padding(name: &str, kind: &Kind) -> bool {
    let digits = name.strip_prefix("reserved");
    let is_named = digits.is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let is_bytes =
        matches!(kind, Kind::Array { element, .. } if **element == Kind::Number(Number::U8));
    is_named && is_bytes
}
