//! `sharehold watch`: prints a line for each change of a value.

use std::collections::VecDeque;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use sharehold::{ErrorKind, FieldValue, SegmentOptions};

use crate::exit::{Exit, Failure};
use crate::output::{self, Format, Tone};
use crate::target::{self, Seen};
use crate::{format, hint, poll, show, spark, units, users, value};

/// Print a line whenever a value changes
///
/// The first line is the current value. Each change then prints a line with the time, the version
/// and the value; if changes come faster than --every, only the newest is printed. Only changed
/// fields are shown. Watching delays no process and does not keep the segment alive.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold watch com.example.tally                  the whole value
  sharehold watch com.example.tally value            one field; a number also as bars on a terminal
  sharehold watch com.example.tally --every 1s --json
  sharehold watch com.example.config limits.max      a field of what the part `limits` guards

Exit status: 0 the reader of the output has gone, 1 it cannot be written, 2 wrong usage, 3 no such key or field, or the segment is
gone, 5 damaged, or it holds plain bytes, which have no versions, 6 not permitted; it does not end otherwise, but by a signal such
as Ctrl-C, for which a shell shows 130.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The field, such as value, limits.max or moves[3]; the whole value unless given
    field: Option<String>,

    /// Minimum time between two lines
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = units::duration)]
    every: Duration,

    #[command(flatten)]
    format: Format,
}

/// How many numbers become bars.
const BARS: usize = 24;

#[derive(Serialize)]
struct Change {
    at: String,
    version: u64,
    value: Value,
}

/// One version of the value.
struct Snapshot(Seen);

impl Snapshot {
    /// The fields that are watched, each with what it is now.
    fn fields(&self, field: Option<&str>) -> Result<Vec<(String, FieldValue)>> {
        let Snapshot(seen) = self;
        let paths = match field {
            Some(_) => vec![seen.path.clone()],
            None => show::leaves(&seen.schema)
                .into_iter()
                .map(|it| it.path)
                .collect(),
        };
        let values = paths.into_iter().map(|path| {
            let value = seen.schema.get(&seen.bytes, &path);
            let value = value.map_err(|error| hint::for_field(error, &seen.schema))?;
            Ok((path, value))
        });
        values.collect()
    }

    fn value(&self) -> Result<Value> {
        let Snapshot(seen) = self;
        let field = seen.schema.field(&seen.path)?;
        Ok(value::to_json(&seen.value()?, &field.kind))
    }
}

/// Runs `sharehold watch`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let field = args.field.as_deref();
    let draws = stdout().is_terminal() && !args.format.json;
    let mut numbers = VecDeque::new();
    let mut before: Vec<(String, FieldValue)> = Vec::new();
    let mut known = None;
    let mut has_heading = args.format.json;
    loop {
        let printed = Instant::now();
        let snapshot = match next(&args.owner.options(), &args.key, field, known) {
            Err(error) if known.is_some() && Exit::of(&error) == Exit::NotFound => {
                return Err(gone(&args.key));
            }
            snapshot => snapshot?,
        };
        known = Some(snapshot.0.version);
        let now = snapshot.fields(field)?;
        let changed: Vec<_> = now.iter().filter(|it| !before.contains(it)).collect();
        if !changed.is_empty() {
            if !has_heading {
                output::line(&Tone::Strong.paint("TIME                      VERSION  VALUE"))?;
                has_heading = true;
            }
            if args.format.json {
                output::object(&Change {
                    at: format::instant_to_the_millisecond(SystemTime::now()),
                    version: snapshot.0.version,
                    value: snapshot.value()?,
                })?;
            } else {
                let bars = draws.then(|| bars(&mut numbers, &changed)).flatten();
                output::line(&line(snapshot.0.version, &changed, field, bars))?;
            }
            before = now;
        }
        let left = args.every.saturating_sub(printed.elapsed());
        poll::until(Some(left), || output::expect_reader().map(|()| None::<()>))?;
    }
}

/// Waits for a version other than the known one.
fn next(
    options: &SegmentOptions,
    key: &str,
    field: Option<&str>,
    known: Option<u64>,
) -> Result<Snapshot> {
    let path = field.unwrap_or(target::WHOLE);
    let found = poll::until(None, || {
        output::expect_reader()?;
        let summary = options.summarize(key)?;
        if summary.is_stale() {
            return Err(gone(key));
        }
        if summary.version.is_some() && summary.version == known {
            return Ok(None);
        }
        let seen = options.inspect(key)?;
        match &seen.content {
            // The value changed during every read attempt: try again.
            Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
            _ => {
                let found = target::at(seen, path)?;
                Ok(found.filter(|it| Some(it.version) != known).map(Snapshot))
            }
        }
    })?;
    found.ok_or_else(|| gone(key))
}

fn gone(key: &str) -> anyhow::Error {
    let key = format::visible(key);
    let detail = format!("`{key}` is gone: no process is attached to it, or it was removed");
    Failure::new(Exit::NotFound, detail).into()
}

fn line(
    version: u64,
    changed: &[&(String, FieldValue)],
    field: Option<&str>,
    bars: Option<String>,
) -> String {
    let clock = format::instant_to_the_millisecond(SystemTime::now());
    let named = |(path, value): &(String, FieldValue)| {
        let text = format::visible(&value.to_string());
        match (field, path.as_str()) {
            (Some(_), _) | (None, ".") => text,
            (None, path) => format!("{path}={text}"),
        }
    };
    let values: Vec<String> = changed.iter().map(|it| named(it)).collect();
    let version = Tone::Faint.paint(&format!("{clock}  {version:>7}"));
    let bars = bars.map_or_else(String::new, |bars| format!("  {}", Tone::Good.paint(&bars)));
    format!("{version}  {}{bars}", values.join(" "))
}

/// The last numbers as bars, if one field is watched and is a number.
fn bars(numbers: &mut VecDeque<f64>, changed: &[&(String, FieldValue)]) -> Option<String> {
    let [(_, value)] = changed else {
        return None;
    };
    numbers.push_back(number(value)?);
    if numbers.len() > BARS {
        numbers.pop_front();
    }
    Some(spark::line(numbers.iter().copied()))
}

fn number(value: &FieldValue) -> Option<f64> {
    match value {
        FieldValue::Unsigned(_)
        | FieldValue::Signed(_)
        | FieldValue::F32(_)
        | FieldValue::F64(_) => value.to_string().parse().ok(),
        _ => None,
    }
}
