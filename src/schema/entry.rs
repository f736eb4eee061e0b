//! Parsing values from text: the inverse of printing a [`FieldValue`](super::FieldValue).
//!
//! | kind | text |
//! |---|---|
//! | number | as in Rust, without a type suffix or underscores |
//! | `bool`, enum | `true`, `false`; the name of a variant |
//! | text | the text itself if it is the whole value, quoted inside another value |
//! | array, list | `[1, 2]` |
//! | struct | `{min: 1, max: 2}`: every member once, in any order |
//!
//! Inside a value, names, numbers, booleans and variants may be quoted, and texts may use the
//! escapes of JSON. So a struct, an array or a list can also be given as JSON.

use std::borrow::Cow;

use super::kind::{Kind, LEN, Member, Number};

/// Encodes `text` as the bytes of a value; the error is a reason such as "`x` is not a u8".
pub(super) fn encode(kind: &Kind, text: &str) -> Result<Vec<u8>, String> {
    if let Kind::Text { capacity } = kind {
        return text_bytes(text, *capacity);
    }
    let mut bytes = Vec::new();
    let mut input = Input { rest: text };
    input.value(kind, &mut bytes)?;
    let rest = input.rest.trim();
    if rest.is_empty() {
        Ok(bytes)
    } else {
        Err(format!(
            "there is unexpected text after the value: `{rest}`"
        ))
    }
}

/// The text that has not been parsed yet.
struct Input<'a> {
    rest: &'a str,
}

impl<'a> Input<'a> {
    /// Parses a value and appends its bytes.
    fn value(&mut self, kind: &Kind, bytes: &mut Vec<u8>) -> Result<(), String> {
        match kind {
            Kind::Number(number) => bytes.extend(number_bytes(*number, &self.scalar()?)?),
            Kind::Bool => match &*self.scalar()? {
                "false" => bytes.push(0),
                "true" => bytes.push(1),
                other => return Err(format!("`{other}` is neither `true` nor `false`")),
            },
            Kind::Enum { repr, variants } => {
                let name = self.scalar()?;
                let Some(variant) = variants.iter().find(|it| it.name == name) else {
                    let names: Vec<&str> = variants.iter().map(|it| it.name.as_str()).collect();
                    return Err(format!("`{name}` is not one of {}", names.join(", ")));
                };
                bytes.extend(number_bytes(*repr, &variant.number.to_string())?);
            }
            Kind::Text { capacity } => {
                self.require("\"")?;
                bytes.extend(text_bytes(&self.quoted()?, *capacity)?);
            }
            Kind::Array { element, len } => {
                let found = self.elements(element, *len, bytes)?;
                if found != *len {
                    return Err(format!(
                        "the array has {len} elements, but {found} are given"
                    ));
                }
            }
            Kind::List { element, capacity } => {
                let start = bytes.len();
                bytes.extend([0; LEN]);
                let len = self.elements(element, *capacity, bytes)?;
                bytes[start..start + LEN].copy_from_slice(&(len as u64).to_ne_bytes());
                bytes.resize(start + kind.size(), 0);
            }
            Kind::Part { .. } => return Err(format!("a {kind} has no value of its own")),
            Kind::Struct { members, .. } => self.members(members, bytes)?,
        }
        Ok(())
    }

    /// Parses `[1, 2]`, appends at most `most` elements, and returns how many there are.
    fn elements(
        &mut self,
        element: &Kind,
        most: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<usize, String> {
        self.require("[")?;
        let mut len = 0;
        while !self.takes("]") {
            if len > 0 {
                self.require(",")?;
            }
            if len == most {
                return Err(format!("there are more than {most} elements"));
            }
            self.value(element, bytes)?;
            len += 1;
        }
        Ok(len)
    }

    /// Parses `{min: 1, max: 2}` and appends the members in the order of the struct.
    fn members(&mut self, members: &[Member], bytes: &mut Vec<u8>) -> Result<(), String> {
        let mut values: Vec<Option<Vec<u8>>> = vec![None; members.len()];
        self.require("{")?;
        let mut is_first = true;
        while !self.takes("}") {
            if !is_first {
                self.require(",")?;
            }
            is_first = false;
            let name = self.name()?;
            self.require(":")?;
            let Some(index) = members.iter().position(|it| it.name == name) else {
                let names: Vec<&str> = members.iter().map(|it| it.name.as_str()).collect();
                let names = names.join(", ");
                return Err(format!(
                    "there is no field `{name}`; the fields are {names}"
                ));
            };
            let mut value = Vec::new();
            self.value(&members[index].kind, &mut value)?;
            if values[index].replace(value).is_some() {
                return Err(format!("`{name}` is given twice"));
            }
        }
        for (member, value) in members.iter().zip(values) {
            let name = &member.name;
            bytes.extend(value.ok_or_else(|| format!("the field `{name}` is missing"))?);
        }
        Ok(())
    }

    /// Takes a member's name, quoted or up to the colon.
    fn name(&mut self) -> Result<Cow<'a, str>, String> {
        if self.takes("\"") {
            return self.quoted().map(Cow::Owned);
        }
        Ok(self.until(&[':', ',', '}']))
    }

    /// Takes a number, a boolean or the name of a variant, quoted or up to the next punctuation.
    fn scalar(&mut self) -> Result<Cow<'a, str>, String> {
        if self.takes("\"") {
            return self.quoted().map(Cow::Owned);
        }
        Ok(self.until(&[',', ']', '}']))
    }

    fn until(&mut self, ends: &[char]) -> Cow<'a, str> {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, behind) = self.rest.split_at(end);
        self.rest = behind;
        Cow::Borrowed(word.trim())
    }

    /// Takes `mark` and the space before it, if the mark comes next.
    fn takes(&mut self, mark: &str) -> bool {
        let behind = self.rest.trim_start().strip_prefix(mark);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn require(&mut self, mark: &str) -> Result<(), String> {
        if self.takes(mark) {
            return Ok(());
        }
        Err(match self.rest.trim() {
            "" => format!("`{mark}` is missing at the end"),
            rest => format!("`{mark}` is missing before `{rest}`"),
        })
    }

    /// Takes the rest of a text in double quotes, with the escapes of Rust and of JSON.
    fn quoted(&mut self) -> Result<String, String> {
        const UNENDED: &str = "a quoted text does not end with `\"`";
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            let next = chars.next().ok_or(UNENDED)?;
            text.push(match next {
                '"' => break,
                '\\' => match chars.next().ok_or(UNENDED)? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    '0' => '\0',
                    'u' => {
                        let (found, behind) = unicode_escape(chars.as_str())
                            .ok_or("a `\\u` escape does not name a character")?;
                        chars = behind.chars();
                        found
                    }
                    other => other,
                },
                other => other,
            });
        }
        self.rest = chars.as_str();
        Ok(text)
    }
}

/// Parses what follows `\u`: `{1f600}` as in Rust, `00e9` or a surrogate pair `d83d\ude00` as in
/// JSON.
fn unicode_escape(text: &str) -> Option<(char, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        let (code, behind) = braced.split_once('}')?;
        let code = u32::from_str_radix(code, 16).ok()?;
        return Some((char::from_u32(code)?, behind));
    }
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let first = unit(text)?;
    let behind = &text[4..];
    if let Some(found) = char::from_u32(first.into()) {
        return Some((found, behind));
    }
    let second = behind.strip_prefix("\\u")?;
    let units = [first, unit(second)?];
    let found = char::decode_utf16(units).next()?.ok()?;
    Some((found, &second[4..]))
}

fn text_bytes(text: &str, capacity: usize) -> Result<Vec<u8>, String> {
    let len = text.len();
    if len > capacity {
        return Err(format!("`{text}` has {len} bytes, at most {capacity} fit"));
    }
    let mut bytes = Vec::with_capacity(LEN + capacity);
    bytes.extend((len as u64).to_ne_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(LEN + capacity, 0);
    Ok(bytes)
}

pub(super) fn number_bytes(number: Number, text: &str) -> Result<Vec<u8>, String> {
    macro_rules! whole {
        ($type:ident) => {
            match text.parse::<$type>() {
                Ok(number) => Ok(number.to_ne_bytes().to_vec()),
                Err(_) => Err(format!(
                    "`{text}` is not a {}, a whole number from {} to {}",
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
                // Rust rounds a number that is too large to infinity.
                Ok(number)
                    if number.is_infinite() && text.contains(|it: char| it.is_ascii_digit()) =>
                {
                    Err(format!(
                        "`{text}` is beyond the range of {}",
                        stringify!($type)
                    ))
                }
                Ok(number) => Ok(number.to_ne_bytes().to_vec()),
                Err(_) => Err(format!(
                    "`{text}` is not a {}, such as -1.5, inf or NaN",
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
