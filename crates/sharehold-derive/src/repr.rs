//! What stands in `#[repr(…)]` and `#[shareable(…)]`.

use proc_macro2::{Ident, TokenStream};
use syn::{DeriveInput, Error, LitInt, Result, parenthesized, token};

/// The words of all `#[repr(…)]`.
fn words(input: &DeriveInput) -> Result<Vec<Ident>> {
    let mut found = Vec::new();
    for attribute in input.attrs.iter().filter(|it| it.path().is_ident("repr")) {
        attribute.parse_nested_meta(|meta| {
            found.extend(meta.path.get_ident().cloned());
            if meta.input.peek(token::Paren) {
                let arguments;
                parenthesized!(arguments in meta.input);
                arguments.parse::<TokenStream>()?;
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Sees to it that the fields of a struct stand where C has them.
pub(crate) fn check_struct(input: &DeriveInput) -> Result<()> {
    let words = words(input)?;
    if let Some(packed) = words.iter().find(|it| *it == "packed") {
        return Err(Error::new(
            packed.span(),
            "the fields of a shared type are aligned, so that each number is read and written in one piece: take \
             `packed` away",
        ));
    }
    if words.iter().any(|it| it == "C") {
        return Ok(());
    }
    let name = &input.ident;
    Err(Error::new(
        name.span(),
        format!(
            "Rust may lay `{name}` out differently in each program: put `#[repr(C)]` before it"
        ),
    ))
}

/// The number that an enum is made of.
pub(crate) fn of_enum(input: &DeriveInput) -> Result<Ident> {
    const FIXED: [&str; 8] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"];
    let words = words(input)?;
    let fixed = words
        .into_iter()
        .find(|it| FIXED.iter().any(|fixed| it == fixed));
    fixed.ok_or_else(|| {
        let name = &input.ident;
        Error::new(
            name.span(),
            format!("`{name}` has no fixed width: put `#[repr(u8)]`, or another number of fixed width, before it"),
        )
    })
}

/// The version of a struct, 1 unless it says otherwise.
pub(crate) fn version(input: &DeriveInput) -> Result<u32> {
    let mut version = 1;
    for attribute in shareable(input) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("version") {
                return Err(meta.error("only `version = …` can be said of a shared type"));
            }
            let number: LitInt = meta.value()?.parse()?;
            version = number.base10_parse()?;
            if version == 0 {
                return Err(Error::new(number.span(), "versions begin at 1"));
            }
            Ok(())
        })?;
    }
    Ok(version)
}

/// Sees to it that nothing is said of an enum.
pub(crate) fn check_no_version(input: &DeriveInput) -> Result<()> {
    match shareable(input).next() {
        Some(attribute) => Err(Error::new_spanned(
            attribute,
            "an enum has no version, because its variants are compared by name and number: take this away",
        )),
        None => Ok(()),
    }
}

fn shareable(input: &DeriveInput) -> impl Iterator<Item = &syn::Attribute> {
    let attributes = input.attrs.iter();
    attributes.filter(|it| it.path().is_ident("shareable"))
}
