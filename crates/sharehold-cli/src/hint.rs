//! What somebody may have meant: keys and fields that look like the one that is not there.

use sharehold::{ErrorKind, FieldError, Schema};

use crate::human;

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

/// What to do about an error, or what may have been meant, where the command knows more of it than the library.
pub(crate) fn for_error(error: &anyhow::Error) -> Option<String> {
    let errors = error.chain();
    let found = errors.filter_map(|cause| cause.downcast_ref::<sharehold::Error>());
    let mut found = found.filter_map(|error| Some((error.kind(), error.key()?)));
    let (kind, key) = found.next()?;
    match kind {
        ErrorKind::Abandoned => Some(format!(
            "`sharehold lock {} -- true` says that they are whole",
            human::visible(key)
        )),
        ErrorKind::NotFound => similar_key(key),
        _ => None,
    }
}

fn similar_key(wanted: &str) -> Option<String> {
    let listed = sharehold::list().ok()?;
    let keys = listed.iter().filter_map(|it| it.summary.as_ref().ok());
    let key = nearest(wanted, keys.map(|summary| summary.key.as_str()))?;
    Some(format!("did you mean `{}`?", human::visible(key)))
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
        let top = paths.filter(|path| !path.contains(['.', '[']) || *path == ".");
        format!("its fields are {}", top.collect::<Vec<_>>().join(", "))
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
