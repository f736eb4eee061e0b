//! What a shell offers for a word: keys that there are, and fields and parts of the segment whose
//! key stands before.
//!
//! A shell runs this program with the words of the command line; see `completions`.

use std::ffi::{OsStr, OsString};

use clap_complete::engine::CompletionCandidate;
use sharehold::{Kind, Primitive, Schema, SegmentOptions};

use crate::users::{self, Owner};

/// The keys of segments that can be seen. One that a shell would have to quote is left out.
pub(crate) fn keys(current: &OsStr) -> Vec<CompletionCandidate> {
    let listed = sharehold::list_all_users().unwrap_or_default();
    let owner = owner(&words());
    let me = rustix::process::geteuid().as_raw();
    let of_owner = listed
        .into_iter()
        .filter(|it| it.owner == owner.unwrap_or(me));
    let keys = of_owner.filter_map(|it| Some(it.summary.ok()?.key));
    candidates(current, keys)
}

/// The fields of a value, or parts and the fields of what they guard.
pub(crate) fn fields(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(schema) = schema() else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    for field in schema.fields() {
        if let Kind::Part { .. } = field.kind
            && let Some(guarded) = schema.guarded_by(&field.path)
        {
            let inner = guarded.fields().into_iter().map(|it| it.path);
            let inner = inner.filter(|path| path != ".");
            paths.extend(inner.map(|path| format!("{}.{path}", field.path)));
        }
        paths.push(field.path);
    }
    paths.retain(|path| !path.contains("[]"));
    candidates(current, paths)
}

/// The parts of one primitive.
pub(crate) fn parts(current: &OsStr, wanted: Primitive) -> Vec<CompletionCandidate> {
    let fields = schema().map(|it| it.fields()).unwrap_or_default();
    let found = fields
        .into_iter()
        .filter(|it| matches!(it.kind, Kind::Part { primitive, .. } if primitive == wanted));
    candidates(current, found.map(|it| it.path))
}

/// The schema of the first word that is the key of a segment.
fn schema() -> Option<Schema> {
    let words = words();
    let options = owner(&words)
        .map_or_else(Owner::default, Owner::of)
        .options();
    // This program and the subcommand are none.
    let mut seen = words
        .iter()
        .skip(2)
        .filter_map(|word| look(&options, word.to_str()?));
    seen.next()
}

fn look(options: &SegmentOptions, key: &str) -> Option<Schema> {
    options.inspect(key).ok()?.schema.ok()?
}

/// The user that `--owner` names.
fn owner(words: &[OsString]) -> Option<u32> {
    let mut words = words.iter().filter_map(|word| word.to_str());
    let value = words.find_map(|word| match word.strip_prefix("--owner=") {
        Some(value) => Some(Some(value.to_owned())),
        None => (word == "--owner").then_some(None),
    })?;
    let value = value.or_else(|| words.next().map(str::to_owned))?;
    users::user(&value).ok()
}

/// The words of the command line that is completed.
fn words() -> Vec<OsString> {
    let mut words = std::env::args_os();
    words.find(|word| word == "--");
    words.collect()
}

fn candidates(
    current: &OsStr,
    words: impl IntoIterator<Item = String>,
) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let is_plain = |word: &String| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/@%+,-[]".contains(&byte);
        word.bytes().all(is_plain)
    };
    let fitting = words
        .into_iter()
        .filter(|word| word.starts_with(&*current) && is_plain(word));
    let mut fitting: Vec<String> = fitting.collect();
    fitting.sort_unstable();
    fitting.into_iter().map(CompletionCandidate::new).collect()
}
