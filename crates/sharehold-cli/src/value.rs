//! Values of fields as JSON.

use serde_json::{Map, Number, Value};
use sharehold::FieldValue;

/// The value: numbers, texts, lists and objects. What JSON has no number for (`u128`, NaN) is its text.
pub(crate) fn to_json(value: &FieldValue) -> Value {
    let text = || Value::String(value.to_string());
    let number = |number: Option<Number>| number.map_or_else(text, Value::Number);
    match value {
        FieldValue::Unsigned(unsigned) => number(Number::from_u128(*unsigned)),
        FieldValue::Signed(signed) => number(Number::from_i128(*signed)),
        FieldValue::F32(float) => number(Number::from_f64((*float).into())),
        FieldValue::F64(float) => number(Number::from_f64(*float)),
        FieldValue::Bool(bool) => Value::Bool(*bool),
        FieldValue::Sequence(values) => Value::Array(values.iter().map(to_json).collect()),
        FieldValue::Struct(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), to_json(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        _ => text(),
    }
}
