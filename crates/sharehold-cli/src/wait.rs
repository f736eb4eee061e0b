//! `sharehold wait`: until a key is there, or is free, or a field is what is waited for.

use std::cmp::Ordering;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use sharehold::{FieldValue, Schema, Segment, inspect};

use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{hint, human, poll, units, uses, value};

/// Wait until a key exists, or until a field of its value is what is waited for
///
/// A field is compared as what it is: numbers by their size, texts by their letters, variants of an enum by their numbers. If the
/// segment goes meanwhile, the wait ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold wait com.example.tally                             until somebody has created it
  sharehold wait com.example.tally --gone                      until it is removed
  sharehold wait com.example.tally value '>=' 1000000          or: value ge 1000000
  sharehold wait com.example.job state == Idle --timeout 5s

Exit status: 0 it is so, 2 wrong usage, 3 no such key or field, or gone meanwhile, 4 not in time, 5 damaged, or it holds plain bytes,
6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    /// The field, such as value, limits.max or moves[3]
    #[arg(requires = "operator", conflicts_with = "gone")]
    field: Option<String>,

    /// How it is compared
    #[arg(requires = "value", value_enum)]
    operator: Option<Operator>,

    /// What it is compared with, as `sharehold get` would print it
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,

    /// Wait until no segment has the key
    #[arg(long)]
    gone: bool,

    /// Wait at most so long: 5s, 500ms, 2m; as long as it takes unless given
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    format: Format,
}

/// What was waited for, as programs read it.
#[derive(Serialize)]
struct Answer {
    /// The field, as it is now.
    value: Option<Value>,
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

/// Runs `sharehold wait`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    let found = match (&args.field, args.operator, &args.value) {
        (Some(field), Some(operator), Some(value)) => poll::until(args.timeout, || {
            Ok(found(&args.key, field, operator, value)?.map(Some))
        })?,
        _ => poll::until_hinted(&sharehold::directory(), args.timeout, || {
            let exists = Segment::exists(&args.key)?;
            Ok((exists != args.gone).then_some(None))
        })?,
    };
    match found {
        Some(value) => {
            if args.format.json {
                output::document(&Answer {
                    value: value.as_ref().map(value::to_json),
                    waited_ms: begin.elapsed().as_secs_f64() * 1e3,
                })?;
            }
            Ok(Exit::Done.into())
        }
        None => Err(Failure::new(Exit::Busy, "it was not so in time").into()),
    }
}

/// The field, if it is so now. Looked at from outside, so that the wait does not keep the segment alive.
fn found(key: &str, path: &str, operator: Operator, wanted: &str) -> Result<Option<FieldValue>> {
    let seen = inspect(key)?;
    if seen.summary.is_stale() {
        let detail = format!("the users of `{}` have all died", human::visible(key));
        return Err(Failure::new(Exit::NotFound, detail).into());
    }
    uses::expect_one_value(&seen)?;
    let Some(schema) = seen.schema? else {
        let detail = format!(
            "`{}` holds plain bytes, which have no fields",
            human::visible(key)
        );
        return Err(Failure::new(Exit::Damaged, detail).into());
    };
    let bytes = seen.content?;
    let explain = |error| hint::for_field(error, &schema);
    let found = schema.get(&bytes, path).map_err(explain)?;
    let wanted = parse(&schema, &bytes, path, wanted)?;
    Ok(operator.holds(&found, &wanted)?.then_some(found))
}

fn parse(schema: &Schema, bytes: &[u8], path: &str, text: &str) -> Result<FieldValue> {
    let explain = |error| hint::for_field(error, schema);
    let mut bytes = bytes.to_vec();
    schema.set(&mut bytes, path, text).map_err(explain)?;
    schema.get(&bytes, path).map_err(explain)
}

impl Operator {
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
