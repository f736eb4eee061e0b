//! The next step after an error, as a shell command, and similar names for a mistyped one.
//!
//! The library says what failed and why; its own next step is for programmers. Here each kind of
//! error gets the next step for people at a shell.

use sharehold::{Error, ErrorKind, FieldError, Schema, Segment};

use crate::{format, users};

/// How alike two names must be, from 0 to 1.
const ALIKE: f64 = 0.75;

/// The one of the names that looks most like `wanted`.
pub(crate) fn nearest<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let rated = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name));
    let alike = rated.filter(|(rate, _)| *rate >= ALIKE);
    alike
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// An error of the library as this command tells it: what failed, why, and the next step.
pub(crate) fn text(error: &Error) -> String {
    let operation = match error.operation() {
        "destroy" => "remove",
        operation => operation,
    };
    let key = error.key();
    let key = key.map_or_else(String::new, |key| format!(" `{}`", shown(key)));
    let advice = advice(error).map_or_else(String::new, |advice| format!("; {advice}"));
    let system = error.system();
    let system = system.map_or_else(String::new, |system| format!(" ({system})"));
    format!(
        "cannot {operation}{key}: {}{advice}{system}",
        error.reason()
    )
}

/// The next step after an error of the library.
fn advice(error: &Error) -> Option<String> {
    let of_library = error.advice().map(str::to_owned);
    let Some(key) = error.key() else {
        return of_library;
    };
    let key_word = shown(key);
    match (error.kind(), error.operation()) {
        (ErrorKind::NotFound, _) => Some(for_missing(key)),
        (ErrorKind::NotTrusted, _) => with_owner(key).or(of_library),
        (ErrorKind::PermissionDenied, "create") if is_not_permitted(error) => Some(
            "give it to a group that you are in: `id` lists yours, `--group` takes one of them"
                .to_owned(),
        ),
        (ErrorKind::PermissionDenied, "create") => of_library,
        (ErrorKind::PermissionDenied, "destroy") => {
            Some("only its owner, or root, can remove it: run this as one of them".to_owned())
        }
        (ErrorKind::PermissionDenied, _) => Some(for_forbidden(key)),
        (ErrorKind::AlreadyExists, _) => Some(format!(
            "see `sharehold show {key_word}`; `sharehold rm {key_word}` removes it"
        )),
        (ErrorKind::TypeMismatch, "read") if of_library.is_some() => {
            Some(format!("`sharehold show {key_word}` shows them"))
        }
        (ErrorKind::Busy, "destroy") => {
            Some("wait for them with `--wait TIME`, or take it from them with `--force`".to_owned())
        }
        (ErrorKind::WrongVersion, _) => Some(format!(
            "`sharehold export {key_word}` prints it, if it is older; \
             `sharehold rm {key_word}` removes it, with its data"
        )),
        (ErrorKind::Damaged, _) if of_library.is_some() => Some(format!(
            "`sharehold rm {key_word}` removes it, with its data"
        )),
        (ErrorKind::InvalidOption, "grow") => {
            Some("create it with a larger `--max-size`".to_owned())
        }
        (ErrorKind::InvalidOption, "create") if of_library.is_some() => {
            Some("give it at least one byte with `--size`".to_owned())
        }
        (ErrorKind::TypeMismatch, "attach to") if of_library.is_some() => {
            Some("`sharehold read` and `sharehold write` take its bytes".to_owned())
        }
        (ErrorKind::Abandoned, _) => Some(format!(
            "`sharehold lock {key_word} -- true` marks them consistent"
        )),
        _ => of_library,
    }
}

/// Whether the system refused it to this user, as it does a file for a group that the user is not
/// in.
fn is_not_permitted(error: &Error) -> bool {
    let system = error.system().and_then(std::io::Error::raw_os_error);
    system == Some(rustix::io::Errno::PERM.raw_os_error())
}

/// A key inside of a sentence.
fn shown(key: &str) -> String {
    const WIDEST: usize = 80;
    format::cut(&format::visible(key), WIDEST)
}

/// What to do when nothing has the key.
fn for_missing(key: &str) -> String {
    let found = similar_key(key).or_else(|| with_owner(key));
    found.unwrap_or_else(|| "`sharehold ls` lists the keys".to_owned())
}

/// What to do about a segment that this user may not use as it wants to.
fn for_forbidden(key: &str) -> String {
    let owners = sharehold::owners(key).unwrap_or_default();
    let is_readable = owners
        .iter()
        .any(|&owner| Segment::options().owner(owner).summarize(key).is_ok());
    let readable = if is_readable {
        "you may only read it: `sharehold get`, `show`, `watch`, `wait` and `export` do that; "
    } else {
        ""
    };
    format!(
        "{readable}only its owner, or root, can let others in: see `--mode` and `--group` of \
         `sharehold create`"
    )
}

/// What to do about a segment whose users have all died.
pub(crate) fn for_stale(key: &str) -> String {
    let key = shown(key);
    format!(
        "no process is attached to it; `sharehold show {key}` shows what it holds, \
         `sharehold export {key}` saves it, `sharehold rm {key}` removes it"
    )
}

/// Where other users have a segment with the key, how to reach it.
fn with_owner(key: &str) -> Option<String> {
    let owners = sharehold::owners(key).ok()?;
    let (&owner, _) = owners.split_first()?;
    let name = users::name(owner);
    Some(format!(
        "{name} has a segment with this key: add `--owner {name}` if you trust that user"
    ))
}

fn similar_key(wanted: &str) -> Option<String> {
    let listed = sharehold::list().ok()?;
    let found = || listed.iter().filter_map(|it| it.summary.as_ref().ok());
    let key = nearest(wanted, found().map(|summary| summary.key.as_str()))?;
    if key == wanted {
        let stale = found().any(|it| it.key == wanted && it.is_stale());
        return stale.then(|| for_stale(wanted));
    }
    Some(format!("did you mean `{}`?", format::visible(key)))
}

/// An error about a field, with what may have been meant.
pub(crate) fn for_field(error: FieldError, schema: &Schema) -> anyhow::Error {
    let FieldError::Unknown { path } = &error else {
        return error.into();
    };
    let fields = schema.fields();
    let paths = fields.iter().map(|field| field.path.as_str());
    let hint = if let Some(path) = nearest(path, paths.clone()) {
        format!("did you mean `{path}`?")
    } else {
        let top: Vec<_> = paths.filter(|path| !path.contains(['.', '['])).collect();
        if top.is_empty() {
            "it is one value, which has no fields with names".to_owned()
        } else {
            format!("its fields are {}", top.join(", "))
        }
    };
    anyhow::Error::msg(hint).context(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_alike_are_found() {
        let names = ["value", "by_worker", "limits.max", "limits.min"];
        assert_eq!(nearest("valeu", names), Some("value"));
        assert_eq!(nearest("byworker", names), Some("by_worker"));
        assert_eq!(nearest("limits.mx", names), Some("limits.max"));
        assert_eq!(nearest("temperature", names), None);
        assert_eq!(nearest("value", []), None);
    }
}
