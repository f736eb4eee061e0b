//! `sharehold wait`: waits for a key, for its removal, for a field or for an event.

use std::cmp::Ordering;
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use sharehold::{ErrorKind, Event, FieldError, FieldValue, Primitive, SegmentOptions};

use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::target::{self, Seen};
use crate::{change, format, poll, units, users, value};

/// Wait until a key exists, a field meets a condition, or an event is set
///
/// Values are compared by their kind: numbers by size, texts by their letters, variants of an enum
/// by their numbers. For a part, the field is one of the value that it guards, or its number of
/// permits or arrivals. If no segment has the key, `wait` first waits for one; if the segment goes
/// meanwhile, the wait ends. An auto-reset event is reset by the one waiter that it releases.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold wait com.example.tally                             until it is created
  sharehold wait com.example.tally --gone                      until it is removed
  sharehold wait com.example.tally value '>=' 1000000          or: value ge 1000000
  sharehold wait com.example.job state == Idle --timeout 5s
  sharehold wait com.example.config ready                      until the event `ready` is set
  sharehold wait com.example.config limits.max '>' 10          a field of what the part `limits` guards

Exit status: 0 it is so, 2 wrong usage, 3 no such field, or gone meanwhile, 4 not in time, 5 damaged, or it holds plain bytes,
6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The field, such as value, limits.max or moves[3]; or alone, an event, or a once
    #[arg(conflicts_with = "gone")]
    field: Option<String>,

    /// The comparison; in words: eq, ne, lt, le, gt, ge
    #[arg(requires = "value", value_enum)]
    operator: Option<Operator>,

    /// The value to compare with, as `sharehold get` would print it
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,

    /// Wait until no segment has the key
    #[arg(long)]
    gone: bool,

    /// Maximum time to wait, such as 5s, 500ms or 2m [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    format: Format,
}

/// What was waited for, as programs read it.
#[derive(Serialize)]
struct Answer {
    /// The field, as it is now.
    value: Value,
    waited_ms: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operator {
    #[value(name = "==", aliases = ["eq", "="])]
    Equal,
    #[value(name = "!=", alias = "ne")]
    Unequal,
    #[value(name = "<", alias = "lt")]
    Less,
    #[value(name = "<=", alias = "le")]
    AtMost,
    #[value(name = ">", alias = "gt")]
    More,
    #[value(name = ">=", alias = "ge")]
    AtLeast,
}

/// What is waited for.
enum Wanted<'a> {
    Key,
    Gone,
    /// An event, or the value of a once.
    Part(&'a str),
    Field(&'a str, Operator, &'a str),
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Key => f.write_str("did not exist"),
            Wanted::Gone => f.write_str("was not removed"),
            Wanted::Part(path) => write!(f, "did not have `{}` set", format::visible(path)),
            Wanted::Field(path, operator, value) => {
                let path = format::visible(path);
                write!(f, "did not have `{path}` {} {value}", operator.sign())
            }
        }
    }
}

/// Runs `sharehold wait`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    let options = args.owner.options();
    let wanted = match (&args.field, args.operator, &args.value) {
        (Some(field), Some(operator), Some(value)) => Wanted::Field(field, operator, value),
        (Some(part), ..) => Wanted::Part(part),
        _ if args.gone => Wanted::Gone,
        _ => Wanted::Key,
    };
    let Some(value) = until(&options, args, &wanted)? else {
        let limit = args.timeout.unwrap_or_default();
        let key = format::visible(&args.key);
        let detail = format!("`{key}` {wanted} within {}", format::exact(limit));
        return Err(Failure::new(Exit::Busy, detail).into());
    };
    if args.format.json {
        output::document(&Answer {
            value,
            waited_ms: begin.elapsed().as_secs_f64() * 1e3,
        })?;
    }
    Ok(Exit::Done.into())
}

/// Waits; the field, as it is then, null where there is none; nothing when the time was over first.
fn until(options: &SegmentOptions, args: &Args, wanted: &Wanted<'_>) -> Result<Option<Value>> {
    let key = &args.key;
    let directory = options.directory();
    let begin = Instant::now();
    let left = || {
        args.timeout
            .map(|limit| limit.saturating_sub(begin.elapsed()))
    };
    let exists = |should: bool| {
        poll::until_hinted(&directory, args.timeout, || {
            Ok((options.exists(key)? == should).then_some(Value::Null))
        })
    };
    match wanted {
        Wanted::Key => exists(true),
        Wanted::Gone => exists(false),
        Wanted::Part(path) => match exists(true)? {
            None => Ok(None),
            Some(_) => part(options, key, path, left()),
        },
        Wanted::Field(path, operator, value) => match exists(true)? {
            None => Ok(None),
            Some(_) => poll::until(left(), || found(options, key, path, *operator, value)),
        },
    }
}

/// Waits for a part that can be waited for.
fn part(
    options: &SegmentOptions,
    key: &str,
    path: &str,
    left: Option<Duration>,
) -> Result<Option<Value>> {
    let seen = target::look(options, key)?;
    let schema = seen.schema.as_ref().ok().and_then(Option::as_ref);
    let primitive = schema.and_then(|schema| schema.part_of(path));
    match primitive {
        Some((part, Primitive::Event, rest)) if rest == target::WHOLE => {
            target::expect_users(options, key)?;
            let event = options.attach_any_parts(key)?.part::<Event>(&part)?;
            let waited = match left {
                None => event.wait(),
                Some(limit) => event.wait_timeout(limit),
            };
            match waited {
                Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
                waited => Ok(Some(waited.map(|()| Value::Null)?)),
            }
        }
        Some((_, Primitive::OnceLock, rest)) if rest == target::WHOLE => poll::until(left, || {
            let found = target::at(target::look(options, key)?, path)?;
            found.map(|found| json(&found)).transpose()
        }),
        _ => {
            let path = format::visible(path);
            let detail = format!(
                "say what `{path}` shall be, such as: sharehold wait {} {path} '>=' 10",
                format::visible(key)
            );
            Err(Failure::new(Exit::Usage, detail).into())
        }
    }
}

/// The field, if it is so now. Looked at from outside, so that the wait does not keep the segment
/// alive.
fn found(
    options: &SegmentOptions,
    key: &str,
    path: &str,
    operator: Operator,
    wanted: &str,
) -> Result<Option<Value>> {
    let Some(seen) = target::at(target::look(options, key)?, path)? else {
        return Ok(None);
    };
    let found = seen.value()?;
    let compared = change::parse(&seen.schema, &seen.bytes, &seen.path, wanted);
    let compared = compared.map_err(|error| match error.downcast::<FieldError>() {
        Ok(FieldError::Unfit { reason, .. }) => {
            let detail = format!("`{}` cannot be compared: {reason}", format::visible(path));
            Failure::new(Exit::Usage, detail).into()
        }
        Ok(error) => error.into(),
        Err(error) => error,
    })?;
    operator
        .holds(&found, &compared)?
        .then(|| json(&seen))
        .transpose()
}

fn json(seen: &Seen) -> Result<Value> {
    let field = seen.schema.field(&seen.path)?;
    Ok(value::to_json(&seen.value()?, &field.kind))
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Operator::Equal => "==",
            Operator::Unequal => "!=",
            Operator::Less => "<",
            Operator::AtMost => "<=",
            Operator::More => ">",
            Operator::AtLeast => ">=",
        }
    }

    fn holds(self, found: &FieldValue, wanted: &FieldValue) -> Result<bool> {
        match self {
            Operator::Equal => return Ok(found == wanted),
            Operator::Unequal => return Ok(found != wanted),
            _ => {}
        }
        let order = match (found, wanted) {
            (FieldValue::Unsigned(found), FieldValue::Unsigned(wanted)) => Some(found.cmp(wanted)),
            (FieldValue::Signed(found), FieldValue::Signed(wanted)) => Some(found.cmp(wanted)),
            (FieldValue::F32(found), FieldValue::F32(wanted)) => found.partial_cmp(wanted),
            (FieldValue::F64(found), FieldValue::F64(wanted)) => found.partial_cmp(wanted),
            (FieldValue::Text(found), FieldValue::Text(wanted)) => Some(found.cmp(wanted)),
            (FieldValue::Variant(found), FieldValue::Variant(wanted)) => {
                Some(found.number.cmp(&wanted.number))
            }
            _ => {
                let detail = "it has no order; compare it with == or !=";
                return Err(Failure::new(Exit::Usage, detail).into());
            }
        };
        Ok(match self {
            Operator::Less => order == Some(Ordering::Less),
            Operator::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Operator::More => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }
}
