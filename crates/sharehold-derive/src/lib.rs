//! `#[derive(Shareable)]`: refuses what cannot live in shared memory, and writes down what can.
//! `#[derive(Part)]`: lays parts out.
//!
//! Use them through the library, which documents them: `use sharehold::Shareable;` brings the trait
//! and the derive.
//!
//! What is wrong with a type as it is written is found here, where the message can name the field:
//! see `field` and `repr`. What only the compiler knows, padding and `Drop`, is asserted in
//! constants of the generated code. That every field is itself shareable is for the trait to say.

mod enums;
mod field;
mod parts;
mod repr;
mod structs;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;
use quote::quote;
use syn::{Data, DeriveInput, Error, Ident, Result, parse_macro_input};

/// Implements `sharehold::Shareable` for a `#[repr(C)]` struct, or for an enum without fields and
/// of fixed width.
#[proc_macro_derive(Shareable, attributes(shareable))]
pub fn derive_shareable(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let expanded = expand(&input);
    expanded
        .unwrap_or_else(|error| refuse(&error, &input, stand_in(&input.ident)))
        .into()
}

/// Implements `sharehold::Part` for a struct of parts, and declares what they begin with.
#[proc_macro_derive(Part)]
pub fn derive_part(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let expanded = parts::expand(&input);
    expanded
        .unwrap_or_else(|error| refuse(&error, &input, parts::stand_in(&input.ident)))
        .into()
}

/// The errors, and an implementation that stands in for the missing one: without it every use of
/// the type would be a further error.
fn refuse(error: &Error, input: &DeriveInput, stand_in: TokenStream2) -> TokenStream2 {
    let errors = error.to_compile_error();
    // Generic parameters are themselves an error, and would have to be repeated.
    let stand_in = input.generics.params.is_empty().then_some(stand_in);
    quote!(#errors #stand_in)
}

fn stand_in(name: &Ident) -> TokenStream2 {
    quote! {
        const _: () = {
            use ::sharehold::__support;
            impl __support::Shareable for #name {
                fn describe() -> __support::Description { loop {} }
                fn read(_: &mut __support::Reader<'_>) -> Self { loop {} }
                fn write(&self, _: &mut __support::Writer<'_>) {}
            }
        };
    }
}

/// Collects errors, so that all of them are reported at once.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    }

    /// Returns the value of a result that is not an error.
    fn check<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

fn expand(input: &DeriveInput) -> Result<TokenStream2> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a shared type has one layout, so it has no generic parameters: write the types out",
        ));
    }
    let implementation = match &input.data {
        Data::Struct(data) => structs::expand(input, data)?,
        Data::Enum(data) => enums::expand(input, data)?,
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span,
                "nobody can tell which field of a union counts: use a struct that has them, beside an enum without fields \
                 that says which of them count",
            ));
        }
    };
    Ok(quote! {
        #[allow(unused_qualifications, clippy::inline_always)]
        const _: () = {
            use ::sharehold::__support;
            #implementation
        };
    })
}
