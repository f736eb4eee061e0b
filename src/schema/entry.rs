//! Values from what people write: the inverse of how a [`FieldValue`](super::FieldValue) is printed.
//!
//! Numbers are as in Rust, without type or underscores; a text stands alone as it is, and quoted inside of anything
//! else; `[1, 2]` is an array or a list, `{min: 1, max: 2}` a struct with all its members in order.

use super::kind::{Kind, LEN, Number};

/// The bytes of a value, or what is wrong with the text.
pub(super) fn encode(kind: &Kind, text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if let Kind::Text { capacity } = kind {
        put_text(text, *capacity, &mut bytes)?;
        return Ok(bytes);
    }
    let mut rest = text;
    put(kind, &mut rest, &mut bytes)?;
    let rest = rest.trim();
    if rest.is_empty() {
        Ok(bytes)
    } else {
        Err(format!("`{rest}` is one too many"))
    }
}

/// Takes a value from the beginning of the text.
fn put(kind: &Kind, rest: &mut &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    match kind {
        Kind::Number(number) => bytes.extend(number_bytes(*number, word(rest))?),
        Kind::Bool => match word(rest) {
            "false" => bytes.push(0),
            "true" => bytes.push(1),
            other => return Err(format!("`{other}` is neither `true` nor `false`")),
        },
        Kind::Enum { repr, variants } => {
            let name = word(rest);
            let Some(variant) = variants.iter().find(|it| it.name == name) else {
                let names: Vec<&str> = variants.iter().map(|it| it.name.as_str()).collect();
                return Err(format!("`{name}` is none of {}", names.join(", ")));
            };
            bytes.extend(number_bytes(*repr, &variant.number.to_string())?);
        }
        Kind::Text { capacity } => put_text(&quoted(rest)?, *capacity, bytes)?,
        Kind::Array { element, len } => {
            take(rest, "[")?;
            for index in 0..*len {
                if index > 0 {
                    take(rest, ",")?;
                }
                put(element, rest, bytes)?;
            }
            take(rest, "]")?;
        }
        Kind::List { element, capacity } => {
            let start = bytes.len();
            bytes.extend([0; LEN]);
            let mut len = 0;
            take(rest, "[")?;
            while take(rest, "]").is_err() {
                if len > 0 {
                    take(rest, ",")?;
                }
                if len == *capacity {
                    return Err(format!("there are more than {capacity} elements"));
                }
                put(element, rest, bytes)?;
                len += 1;
            }
            bytes[start..start + LEN].copy_from_slice(&(len as u64).to_ne_bytes());
            bytes.resize(start + kind.size(), 0);
        }
        Kind::Part { .. } => return Err(format!("{kind} is no value")),
        Kind::Struct { members, .. } => {
            take(rest, "{")?;
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    take(rest, ",")?;
                }
                take(rest, &member.name)?;
                take(rest, ":")?;
                put(&member.kind, rest, bytes)?;
            }
            take(rest, "}")?;
        }
    }
    Ok(())
}

fn put_text(text: &str, capacity: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
    if text.len() > capacity {
        let len = text.len();
        return Err(format!("`{text}` has {len} bytes, at most {capacity} fit"));
    }
    bytes.extend((text.len() as u64).to_ne_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + capacity - text.len(), 0);
    Ok(())
}

pub(super) fn number_bytes(number: Number, text: &str) -> Result<Vec<u8>, String> {
    macro_rules! whole {
        ($type:ident) => {
            match text.parse::<$type>() {
                Ok(number) => Ok(number.to_ne_bytes().to_vec()),
                Err(_) => Err(format!(
                    "`{text}` is no {}, a whole number from {} to {}",
                    stringify!($type),
                    $type::MIN,
                    $type::MAX
                )),
            }
        };
    }
    macro_rules! real {
        ($type:ident) => {
            match text.parse::<$type>() {
                Ok(number) => Ok(number.to_ne_bytes().to_vec()),
                Err(_) => Err(format!(
                    "`{text}` is no {}, such as -1.5",
                    stringify!($type)
                )),
            }
        };
    }
    match number {
        Number::U8 => whole!(u8),
        Number::U16 => whole!(u16),
        Number::U32 => whole!(u32),
        Number::U64 => whole!(u64),
        Number::U128 => whole!(u128),
        Number::I8 => whole!(i8),
        Number::I16 => whole!(i16),
        Number::I32 => whole!(i32),
        Number::I64 => whole!(i64),
        Number::I128 => whole!(i128),
        Number::F32 => real!(f32),
        Number::F64 => real!(f64),
    }
}

/// What stands before the next punctuation, without the space around it.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find([',', ']', '}']).unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    *rest = behind;
    word.trim()
}

fn take(rest: &mut &str, what: &str) -> Result<(), String> {
    let trimmed = rest.trim_start();
    let behind = trimmed.strip_prefix(what);
    *rest = behind.ok_or_else(|| format!("`{what}` is missing before `{trimmed}`"))?;
    Ok(())
}

/// A text in double quotes, with Rust's escapes.
fn quoted(rest: &mut &str) -> Result<String, String> {
    const UNENDED: &str = "a text does not end with `\"`";
    take(rest, "\"")?;
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        let next = chars.next().ok_or(UNENDED)?;
        text.push(match next {
            '"' => break,
            '\\' => match chars.next().ok_or(UNENDED)? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'u' => {
                    let (code, behind) = chars.as_str().split_once('}').ok_or(UNENDED)?;
                    chars = behind.chars();
                    let code = u32::from_str_radix(code.trim_start_matches('{'), 16).ok();
                    code.and_then(char::from_u32)
                        .ok_or("`\\u{…}` is no character")?
                }
                other => other,
            },
            other => other,
        });
    }
    *rest = chars.as_str();
    Ok(text)
}
