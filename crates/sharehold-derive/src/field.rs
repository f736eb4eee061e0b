//! Types that no field can have, and what to use instead.

use quote::ToTokens;
use syn::{Error, GenericArgument, PathArguments, PathSegment, Type};

/// Refuses a field whose type is known, as written, to mean nothing in another process.
pub(crate) fn check(name: &str, ty: &Type) -> Result<(), Error> {
    match refused(ty) {
        Some((part, reason)) => Err(Error::new_spanned(
            part,
            format!("field `{name}`: {reason}"),
        )),
        None => Ok(()),
    }
}

/// Refuses a field of a struct of parts whose type is known, as written, to be a value, or to guard
/// what is none.
pub(crate) fn check_part(name: &str, ty: &Type) -> Result<(), Error> {
    let value = |part: &Type| {
        let written = part.to_token_stream().to_string().replace(' ', "");
        let message = format!(
            "field `{name}`: a value needs a lock that guards it; use `Mutex<{written}>` or `RwLock<{written}>`"
        );
        Err(Error::new_spanned(part, message))
    };
    match ty {
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if is_number(&last.ident.to_string()) => value(ty),
            Some(last) if last.arguments.is_none() => check(name, ty),
            Some(last) => arguments(last).try_for_each(|inner| check(name, inner)),
            None => Ok(()),
        },
        Type::Array(_) => value(ty),
        other => check(name, other),
    }
}

fn is_number(name: &str) -> bool {
    let whole = ["8", "16", "32", "64", "128"];
    let is_whole = |rest: &str| whole.contains(&rest);
    matches!(name, "bool" | "f32" | "f64") || name.strip_prefix(['u', 'i']).is_some_and(is_whole)
}

/// The part of the type that is refused, and why.
fn refused(ty: &Type) -> Option<(&Type, &'static str)> {
    let reason = match ty {
        Type::Array(array) => return refused(&array.elem),
        Type::Group(group) => return refused(&group.elem),
        Type::Paren(paren) => return refused(&paren.elem),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            match reason(last) {
                Some(reason) => reason,
                None => return arguments(last).find_map(refused),
            }
        }
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => TEXT,
            Type::Slice(_) => LIST,
            _ => {
                "a reference leads to memory of this process only; use the value itself, or its index in an array"
            }
        },
        Type::Ptr(_) => {
            "a pointer leads to memory of this process only; use the value itself, or its index in an array"
        }
        Type::FnPtr(_) => {
            "a function is somewhere else in each process; use an enum without fields, and match on it"
        }
        Type::Slice(_) => LIST,
        Type::Tuple(_) => {
            "Rust may lay a tuple out differently in each program; use a struct with `#[repr(C)]`"
        }
        Type::TraitObject(_) | Type::ImplTrait(_) => {
            "only this process knows which type this is; use an enum without fields, and match on it"
        }
        _ => return None,
    };
    Some((ty, reason))
}

const TEXT: &str = "text of any length lies outside of the value; use `Text<N>`, which has room for N bytes in place";
const LIST: &str = "a list of any length lies outside of the value; use `List<T, N>`, which has room for N elements in \
                    place";
const MAP: &str = "a map lies outside of the value; use `List<T, N>` of pairs, or an array";
const OPTION: &str = "Rust says nowhere how it lays an `Option` out; use a number that means nothing, a `bool` beside \
                      the value, or `List<T, 1>`";
const POINTER: &str = "what it points to is memory of this process only; use the value itself";
const LOCK: &str = "the segment's lock guards the whole value; use the value itself";

/// Why a type of this name is refused. A program may give other names of the standard library to
/// types of its own, but not with type parameters, which no shareable one has.
fn reason(segment: &PathSegment) -> Option<&'static str> {
    let name = segment.ident.to_string();
    let plain = match name.as_str() {
        "usize" => Some("`usize` is not as wide in every program; use `u64`"),
        "isize" => Some("`isize` is not as wide in every program; use `i64`"),
        "char" => Some("not every number is a `char`; use `u32`, and `char::from_u32` to read it"),
        "String" | "str" => Some(TEXT),
        _ => None,
    };
    if plain.is_some() || segment.arguments.is_none() {
        return plain;
    }
    Some(match name.as_str() {
        "Vec" | "VecDeque" | "BinaryHeap" | "LinkedList" => LIST,
        "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet" => MAP,
        "Box" | "Rc" | "Arc" | "Cow" | "NonNull" => POINTER,
        "Mutex" | "RwLock" | "Cell" | "RefCell" | "UnsafeCell" => LOCK,
        "Option" => OPTION,
        _ => return None,
    })
}

/// The types between the angle brackets.
fn arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|it| match it {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
