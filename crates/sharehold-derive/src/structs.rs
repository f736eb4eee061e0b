//! Structs: field after field, with nothing in between.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DataStruct, DeriveInput, Error, Member, Result};

use crate::{Errors, field, repr};

pub(crate) fn expand(input: &DeriveInput, data: &DataStruct) -> Result<TokenStream> {
    let name = &input.ident;
    let text = name.unraw().to_string();
    if data.fields.is_empty() {
        let message = format!("`{text}` has no fields: there is nothing to share");
        return Err(Error::new(name.span(), message));
    }
    let members: Vec<Member> = data.fields.members().collect();
    let names: Vec<String> = members.iter().map(name_of).collect();
    let types: Vec<_> = data.fields.iter().map(|it| &it.ty).collect();

    let mut errors = Errors::default();
    errors.check(repr::check_struct(input));
    let version = errors.check(repr::version(input));
    for (name, ty) in names.iter().zip(&types) {
        errors.check(field::check(name, ty));
    }
    errors.finish()?;

    let mut end = quote!(0);
    let mut no_padding = Vec::new();
    for ((member, field), ty) in members.iter().zip(&names).zip(&types) {
        no_padding.push(quote_spanned! {member.span()=>
            __support::no_padding_before(#field, ::core::mem::offset_of!(#name, #member) - (#end));
        });
        end = quote!(::core::mem::offset_of!(#name, #member) + ::core::mem::size_of::<#ty>());
    }
    let last = &names[names.len() - 1];
    no_padding.push(quote_spanned! {members[members.len() - 1].span()=>
        __support::no_padding_behind(#last, ::core::mem::size_of::<#name>() - (#end));
    });

    let describe = each(
        &types,
        |ty| quote!(<#ty as __support::Shareable>::describe()),
    );
    let read = each(
        &types,
        |ty| quote!(<#ty as __support::Shareable>::read(from)),
    );
    let write = types.iter().zip(&members).map(|(ty, member)| {
        quote_spanned!(ty.span()=> <#ty as __support::Shareable>::write(&self.#member, to);)
    });
    let fill = types.iter().zip(&members).map(|(ty, member)| {
        // All that names the type has its span, as in `read`, so that the compiler reports a type
        // that is not shareable once.
        let fill = quote_spanned! {ty.span()=>
            __support::fill_field(
                from,
                field,
                <#ty as __support::Shareable>::read_into,
                <#ty as __support::Shareable>::read,
            )
        };
        // Unsafe code has this macro's span, so that a program that forbids it can use the derive.
        let here = Span::call_site().located_at(ty.span());
        quote_spanned! {here=>
            // SAFETY: `start` is the address of a whole struct.
            let field: *mut #ty = unsafe { &raw mut (*start).#member };
            // SAFETY: the field lies in `place`, which is borrowed exclusively.
            unsafe { #fill };
        }
    });
    Ok(quote! {
        __support::no_drop::<#name>(#text, false #(|| ::core::mem::needs_drop::<#types>())*);
        #(#no_padding)*

        #[automatically_derived]
        impl __support::Shareable for #name {
            fn describe() -> __support::Description {
                __support::Description::of_struct(
                    #text,
                    #version,
                    [#((#names, #describe)),*],
                )
            }

            // Field after field, in the order of declaration, which is that in memory.
            #[inline(always)]
            fn read(from: &mut __support::Reader<'_>) -> Self {
                #name { #(#members: #read),* }
            }

            fn read_into<'a>(
                from: &mut __support::Reader<'_>,
                place: &'a mut ::core::mem::MaybeUninit<Self>,
            ) -> &'a mut Self {
                let start = place.as_mut_ptr();
                #(#fill)*
                // SAFETY: each field has a value now.
                unsafe { place.assume_init_mut() }
            }

            #[inline(always)]
            fn write(&self, to: &mut __support::Writer<'_>) {
                #(#write)*
            }
        }
    })
}

/// Code for each type that errors point at the type.
fn each<'a>(
    types: &'a [&'a syn::Type],
    code: impl Fn(&syn::Type) -> TokenStream + 'a,
) -> impl Iterator<Item = TokenStream> + 'a {
    types.iter().map(move |ty| {
        let code = code(ty);
        quote_spanned!(ty.span()=> #code)
    })
}

/// The field's name, its number in a tuple struct.
fn name_of(member: &Member) -> String {
    match member {
        Member::Named(name) => name.unraw().to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}
