//! One field changed in one committed update: what `set`, `incr` and `cas` have in common.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use sharehold::{AnyShared, FieldValue, Schema};

use crate::{hint, units, value};

/// How long a change may wait for others.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Patience {
    /// Wait at most so long for whoever has the value locked: 5s, 500ms, 0; as long as it takes unless given
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,
}

/// A field, as it was and as it is.
pub(crate) struct Changed {
    pub(crate) before: FieldValue,
    pub(crate) after: FieldValue,
}

/// The same for programs.
#[derive(Serialize)]
pub(crate) struct Answer {
    before: Value,
    after: Value,
}

impl Changed {
    /// Says that the change is made where its answer could not be given.
    pub(crate) fn answered(&self, answered: Result<()>) -> Result<()> {
        answered
            .with_context(|| format!("the change is made, from {} to {}", self.before, self.after))
    }

    pub(crate) fn answer(&self) -> Answer {
        Answer {
            before: value::to_json(&self.before),
            after: value::to_json(&self.after),
        }
    }
}

/// Changes a field to the text that `decide` makes of what it is, while nobody else can change it; an error of `decide` changes
/// nothing.
pub(crate) fn field(
    key: &str,
    path: &str,
    patience: Patience,
    decide: impl FnOnce(&Field<'_>) -> Result<String>,
) -> Result<Changed> {
    let shared = AnyShared::attach(key)?;
    let schema = shared.schema();
    let explain = |error| hint::for_field(error, schema);
    let change = |bytes: &mut [u8]| -> Result<Changed> {
        let before = schema.get(bytes, path).map_err(explain)?;
        let text = decide(&Field {
            schema,
            bytes,
            path,
            value: &before,
        })?;
        schema.set(bytes, path, &text).map_err(explain)?;
        let after = schema.get(bytes, path).map_err(explain)?;
        Ok(Changed { before, after })
    };
    let changed = match patience.timeout {
        None => shared.try_update(change),
        Some(limit) => shared.try_update_timeout(limit, change),
    }?;
    shared.detach()?;
    Ok(changed)
}

/// A field that is about to be changed.
pub(crate) struct Field<'a> {
    schema: &'a Schema,
    bytes: &'a [u8],
    path: &'a str,
    pub(crate) value: &'a FieldValue,
}

impl Field<'_> {
    /// What the text means here, as the field would be printed if it were that.
    pub(crate) fn parse(&self, text: &str) -> Result<FieldValue> {
        let mut bytes = self.bytes.to_vec();
        let explain = |error| hint::for_field(error, self.schema);
        self.schema
            .set(&mut bytes, self.path, text)
            .map_err(explain)?;
        self.schema.get(&bytes, self.path).map_err(explain)
    }
}
