//! Enums without fields: a number that is one of the variants'.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{DataEnum, DeriveInput, Error, Fields, Result};

use crate::{Errors, repr};

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &input.ident;
    let text = name.unraw().to_string();
    let mut errors = Errors::default();
    errors.check(repr::check_no_version(input));
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let message = format!(
                "variant `{}` has fields: use a struct that has them, beside an enum without fields that says which of \
                 them count",
                variant.ident.unraw()
            );
            errors.push(Error::new_spanned(variant, message));
        }
    }
    let variants: Vec<_> = data.variants.iter().map(|it| &it.ident).collect();
    let Some(first) = variants.first() else {
        let message = format!("`{text}` has no variants: there is nothing to share");
        return Err(Error::new(name.span(), message));
    };
    let number = errors.check(repr::of_enum(input));
    errors.finish()?;
    let names = variants.iter().map(|it| it.unraw().to_string());
    Ok(quote! {
        __support::no_drop::<#name>(#text, false);

        #[automatically_derived]
        impl __support::Shareable for #name {
            fn describe() -> __support::Description {
                __support::Description::of_enum::<#number, _>(
                    #text,
                    [#((#names, ::core::convert::From::from(#name::#variants as #number))),*],
                )
            }

            #[inline(always)]
            fn read(from: &mut __support::Reader<'_>) -> Self {
                let number = <#number as __support::Shareable>::read(from);
                #(if number == #name::#variants as #number {
                    return #name::#variants;
                })*
                from.reject();
                #name::#first
            }

            #[inline(always)]
            fn write(&self, to: &mut __support::Writer<'_>) {
                let number = match self {
                    #(#name::#variants => #name::#variants as #number,)*
                };
                <#number as __support::Shareable>::write(&number, to);
            }
        }
    })
}
