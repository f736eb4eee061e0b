//! Fields changed in one committed update: what `set`, `incr` and `cas` have in common.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use sharehold::{FieldValue, Kind, Schema};

use crate::target::Target;
use crate::users::Owner;
use crate::{hint, units, value};

/// How long a change may wait for others.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Patience {
    /// Maximum time to wait for the lock, such as 5s, 500ms or 0 [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// A field, as it was and as it is.
pub(crate) struct Changed {
    kind: Kind,
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
            before: value::to_json(&self.before, &self.kind),
            after: value::to_json(&self.after, &self.kind),
        }
    }
}

/// Changes fields in one update, each as `change` does. An error changes nothing.
pub(crate) fn fields(
    key: &str,
    owner: Owner,
    paths: &[&str],
    patience: Patience,
    mut change: impl FnMut(&mut Field<'_>) -> Result<()>,
) -> Result<Vec<Changed>> {
    let (target, paths) = Target::attach(&owner.options(), key, paths)?;
    let schema = target.schema();
    let explain = |error| hint::for_field(error, schema);
    let changed = target.update(patience.timeout, |bytes| {
        let mut changed = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            let kind = schema.field(path).map_err(explain)?.kind;
            let before = schema.get(bytes, path).map_err(explain)?;
            change(&mut Field {
                schema,
                bytes,
                path,
                index,
                value: &before,
            })?;
            let after = schema.get(bytes, path).map_err(explain)?;
            changed.push(Changed {
                kind,
                before,
                after,
            });
        }
        Ok(changed)
    })?;
    target.detach()?;
    Ok(changed)
}

/// Changes one field to the text that `decide` makes of what it is.
pub(crate) fn field(
    key: &str,
    owner: Owner,
    path: &str,
    patience: Patience,
    decide: impl Fn(&Field<'_>) -> Result<String>,
) -> Result<Changed> {
    let changed = fields(key, owner, &[path], patience, |field| {
        let text = decide(field)?;
        field.set(&text)
    })?;
    let changed = changed.into_iter().next();
    changed.ok_or_else(|| anyhow::Error::msg("no field was changed"))
}

/// A field that is about to be changed.
pub(crate) struct Field<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) bytes: &'a mut [u8],
    pub(crate) path: &'a str,
    /// Its place among the fields that were asked for.
    pub(crate) index: usize,
    pub(crate) value: &'a FieldValue,
}

impl Field<'_> {
    /// Makes it what the text says.
    pub(crate) fn set(&mut self, text: &str) -> Result<()> {
        let set = self.schema.set(self.bytes, self.path, text);
        set.map_err(|error| hint::for_field(error, self.schema))
    }

    /// Makes it what JSON says.
    pub(crate) fn set_json(&mut self, json: &Value) -> Result<()> {
        value::set_json(self.schema, self.bytes, self.path, json)
    }

    /// What its bytes are.
    pub(crate) fn kind(&self) -> Result<Kind> {
        let field = self.schema.field(self.path);
        let field = field.map_err(|error| hint::for_field(error, self.schema))?;
        Ok(field.kind)
    }

    /// What the field is, for programs.
    pub(crate) fn json(&self) -> Result<Value> {
        Ok(value::to_json(self.value, &self.kind()?))
    }

    /// What the text means here, as the field would be printed if it were that.
    pub(crate) fn parse(&self, text: &str) -> Result<FieldValue> {
        parse(self.schema, self.bytes, self.path, text)
    }
}

/// What a text means as the value of a field.
pub(crate) fn parse(schema: &Schema, bytes: &[u8], path: &str, text: &str) -> Result<FieldValue> {
    let explain = |error| hint::for_field(error, schema);
    let mut bytes = bytes.to_vec();
    schema.set(&mut bytes, path, text).map_err(explain)?;
    schema.get(&bytes, path).map_err(explain)
}
