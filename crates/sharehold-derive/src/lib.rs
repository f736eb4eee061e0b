//! `#[derive(Shareable)]`: refuses what cannot live in shared memory, and writes down what can. `#[derive(Part)]`: lays parts out.
//!
//! Use them through the library, which documents them: `use sharehold::Shareable;` brings the trait and the derive.
//!
//! What is wrong with a type as it is written is found here, where the message can name the field: see `field` and `repr`. What
//! only the compiler knows, padding and `Drop`, is asserted in constants of the generated code. That every field is
//! itself shareable is for the trait to say.

mod enums;
mod field;
mod parts;
mod repr;
mod structs;

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Result, parse_macro_input};

/// Implements `sharehold::Shareable` for a `#[repr(C)]` struct, or for an enum without fields and of fixed width.
#[proc_macro_derive(Shareable, attributes(shareable))]
pub fn derive_shareable(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Implements `sharehold::Part` for a struct of parts, and declares what they begin with.
#[proc_macro_derive(Part)]
pub fn derive_part(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    parts::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn expand(input: &DeriveInput) -> Result<proc_macro2::TokenStream> {
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
