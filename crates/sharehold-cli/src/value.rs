//! Values of fields as JSON, and JSON as values of fields.

use anyhow::{Context, Result};
use serde_json::{Map, Number, Value};
use sharehold::{FieldValue, Kind, Schema};

use crate::exit::{Exit, Failure};
use crate::hint;
use crate::target::{WHOLE, is_padding};

/// The value: numbers, texts, lists and objects. What JSON has no number for (`u128`, NaN) is its
/// text. Padding is left out.
pub(crate) fn to_json(value: &FieldValue, kind: &Kind) -> Value {
    let text = || Value::String(value.to_string());
    let number = |number: Option<Number>| number.map_or_else(text, Value::Number);
    match (value, kind) {
        (FieldValue::Unsigned(unsigned), _) => number(Number::from_u128(*unsigned)),
        (FieldValue::Signed(signed), _) => number(Number::from_i128(*signed)),
        (FieldValue::F32(float), _) => number(Number::from_f64((*float).into())),
        (FieldValue::F64(float), _) => number(Number::from_f64(*float)),
        (FieldValue::Bool(bool), _) => Value::Bool(*bool),
        (
            FieldValue::Sequence(values),
            Kind::Array { element, .. } | Kind::List { element, .. },
        ) => Value::Array(values.iter().map(|it| to_json(it, element)).collect()),
        (FieldValue::Struct(values), Kind::Struct { members, .. }) => {
            let members = members
                .iter()
                .zip(values)
                .filter(|(member, _)| !is_padding(&member.name, &member.kind));
            let members =
                members.map(|(member, (name, value))| (name.clone(), to_json(value, &member.kind)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        _ => text(),
    }
}

/// Makes a field what JSON says. An object changes the members that it names, and leaves the others
/// as they are.
pub(crate) fn set_json(schema: &Schema, bytes: &mut [u8], path: &str, json: &Value) -> Result<()> {
    let explain = |error| hint::for_field(error, schema);
    let field = schema.field(path).map_err(explain)?;
    if let (Kind::Struct { .. }, Value::Object(members)) = (&field.kind, json) {
        for (name, value) in members {
            let member = match path {
                WHOLE => name.clone(),
                path => format!("{path}.{name}"),
            };
            set_json(schema, bytes, &member, value)?;
        }
        return Ok(());
    }
    let text =
        text(&field.kind, json, false).with_context(|| format!("`{path}` cannot be changed"))?;
    schema.set(bytes, path, &text).map_err(explain)
}

/// JSON as the text of a value of this kind; a text that stands inside of something else is quoted.
fn text(kind: &Kind, json: &Value, is_inside: bool) -> Result<String> {
    let unfit = || Failure::new(Exit::Usage, format!("{json} is no {kind}"));
    Ok(match (kind, json) {
        (Kind::Text { .. }, Value::String(text)) if is_inside => format!("{text:?}"),
        (Kind::Text { .. } | Kind::Number(_) | Kind::Enum { .. }, Value::String(text)) => {
            text.clone()
        }
        (Kind::Number(_), Value::Number(number)) => number.to_string(),
        (Kind::Bool, Value::Bool(bool)) => bool.to_string(),
        (Kind::Array { element, .. } | Kind::List { element, .. }, Value::Array(values)) => {
            let texts = values.iter().map(|value| text(element, value, true));
            format!("[{}]", texts.collect::<Result<Vec<_>>>()?.join(", "))
        }
        (Kind::Struct { members, .. }, Value::Object(values)) => {
            if let Some(name) = values
                .keys()
                .find(|&name| members.iter().all(|it| it.name != *name))
            {
                let detail = format!("there is no field `{name}` in {kind}");
                return Err(Failure::new(Exit::NotFound, detail).into());
            }
            let texts = members.iter().map(|member| {
                let text = match values.get(&member.name) {
                    Some(value) => text(&member.kind, value, true)?,
                    None if is_padding(&member.name, &member.kind) => zeros(member.kind.size()),
                    None => {
                        let detail = format!("the field `{}` is missing in {json}", member.name);
                        return Err(Failure::new(Exit::Usage, detail).into());
                    }
                };
                Ok(format!("{}: {text}", member.name))
            });
            format!("{{{}}}", texts.collect::<Result<Vec<_>>>()?.join(", "))
        }
        _ => return Err(unfit().into()),
    })
}

fn zeros(count: usize) -> String {
    format!("[{}]", vec!["0"; count].join(", "))
}
