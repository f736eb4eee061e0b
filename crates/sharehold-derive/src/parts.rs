//! `#[derive(Part)]`: a struct of parts is a part, and a struct beside it says what they begin
//! with.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result};

use crate::{Errors, field};

/// An implementation for a struct that is refused.
pub(crate) fn stand_in(name: &Ident) -> TokenStream {
    quote! {
        impl ::sharehold::Part for #name {
            type Init = ();
            const SIZE: usize = 0;
            const MARKS: usize = 0;
            fn describe() -> ::sharehold::__support::Description { loop {} }
            fn begin((): (), _: &mut ::sharehold::__support::Initializer<'_>) -> ::sharehold::Result<()> {
                loop {}
            }
            fn find(_: &mut ::sharehold::__support::LayoutCursor) -> Self { loop {} }
        }
    }
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let text = name.unraw().to_string();
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a segment has one layout, so a struct of parts has no generic parameters: write the types out",
        ));
    }
    let Data::Struct(data) = &input.data else {
        let message = format!("`{text}` is no struct: parts are the named fields of a struct");
        return Err(Error::new(name.span(), message));
    };
    let Fields::Named(fields) = &data.fields else {
        let message = format!(
            "the fields of `{text}` have no names: write `struct {text} {{ … }}`, because people find a part by its name"
        );
        return Err(Error::new(name.span(), message));
    };
    let fields = &fields.named;
    if fields.is_empty() {
        let message = format!("`{text}` has no fields: there is nothing to share");
        return Err(Error::new(name.span(), message));
    }
    let members: Vec<_> = fields.iter().filter_map(|it| it.ident.as_ref()).collect();
    let texts: Vec<_> = members.iter().map(|it| it.unraw().to_string()).collect();
    let types: Vec<_> = fields.iter().map(|it| &it.ty).collect();
    let mut errors = Errors::default();
    for (text, ty) in texts.iter().zip(&types) {
        errors.check(field::check_part(text, ty));
    }
    errors.finish()?;
    let seen: Vec<_> = fields.iter().map(|it| &it.vis).collect();
    // Errors point at the type of the field.
    let each = |code: fn(&syn::Type) -> TokenStream| -> Vec<TokenStream> {
        let each = types.iter().map(|ty| {
            let code = code(ty);
            quote_spanned!(ty.span()=> #code)
        });
        each.collect()
    };
    let size = each(|ty| quote!(<#ty as ::sharehold::Part>::SIZE));
    let marks = each(|ty| quote!(<#ty as ::sharehold::Part>::MARKS));
    let describe = each(|ty| quote!(<#ty as ::sharehold::Part>::describe()));
    let begin = each(|ty| quote!(<#ty as ::sharehold::Part>::begin));
    let find = each(|ty| quote!(<#ty as ::sharehold::Part>::find(at)));
    let first_types = each(|ty| quote!(<#ty as ::sharehold::Part>::Init));
    let visibility = &input.vis;
    let first = format_ident!("{}Init", name.unraw());
    let first_text = format!("Says what the parts of a [`{text}`] begin with.");
    let member_texts = texts.iter().map(|it| format!("What `{it}` begins with."));
    Ok(quote! {
        #[doc = #first_text]
        #visibility struct #first {
            #(#[doc = #member_texts] #seen #members: #first_types,)*
        }

        #[automatically_derived]
        impl ::sharehold::Part for #name {
            type Init = #first;
            const SIZE: usize = 0 #(+ #size)*;
            const MARKS: usize = 0 #(+ #marks)*;

            fn describe() -> ::sharehold::__support::Description {
                ::sharehold::__support::Description::of_struct(#text, 1, [#((#texts, #describe)),*])
            }

            // Part after part, in the order of declaration, which is that in memory.
            fn begin(
                first: #first,
                at: &mut ::sharehold::__support::Initializer<'_>,
            ) -> ::sharehold::Result<()> {
                #(#begin(first.#members, at)?;)*
                ::core::result::Result::Ok(())
            }

            fn find(at: &mut ::sharehold::__support::LayoutCursor) -> Self {
                #name { #(#members: #find),* }
            }
        }
    })
}
