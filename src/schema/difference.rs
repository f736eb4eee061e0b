//! The first difference of two schemas: a sentence that names the field and both sides.

use std::fmt;

use super::{Field, Schema};

/// The first difference between the schema of a program and that of a segment.
///
/// # Examples
///
/// ```
/// use sharehold::{Schema, Shareable};
///
/// # mod old {
/// #[derive(sharehold::Shareable)]
/// #[repr(C)]
/// pub struct Account { id: u64, limit: u32, rate: u32 }
/// # }
/// # mod new {
/// #[derive(sharehold::Shareable)]
/// #[repr(C)]
/// pub struct Account { id: u64, limit: u64 }
/// # }
/// let here = Schema::of::<old::Account>();
/// let there = Schema::of::<new::Account>();
/// let difference = here.first_difference(&there).expect("the limits differ");
/// assert_eq!(difference.to_string(), "field `limit`: here u32 at 8, there u64 at 8");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A field differs, or exists on one side only.
    Field {
        /// The field on this side, if it exists.
        here: Option<Field>,
        /// The field on the other side, if it exists.
        there: Option<Field>,
    },
    /// The fields are equal, but the versions differ.
    Version {
        /// The version on this side.
        here: u32,
        /// The version on the other side.
        there: u32,
    },
}

/// Compares the lines in order. A field that exists on one side only is missing on the other side.
pub(super) fn first(here: &Schema, there: &Schema) -> Option<Difference> {
    let ours = here.fields();
    let theirs = there.fields();
    let equal = ours.iter().zip(&theirs).take_while(|(a, b)| is_same(a, b));
    let index = equal.count();
    let (here, there) = match (ours.get(index), theirs.get(index)) {
        // The other side also has our field: its own field was inserted before.
        (Some(our), Some(their))
            if find(&theirs, our).is_some() && find(&ours, their).is_none() =>
        {
            (None, Some(their))
        }
        (Some(our), _) => (Some(our), find(&theirs, our)),
        (None, Some(their)) => (None, Some(their)),
        (None, None) => {
            let (here, there) = (here.version(), there.version());
            return (here != there).then_some(Difference::Version { here, there });
        }
    };
    Some(Difference::Field {
        here: here.cloned(),
        there: there.cloned(),
    })
}

fn find<'a>(fields: &'a [Field], like: &Field) -> Option<&'a Field> {
    fields.iter().find(|it| it.path == like.path)
}

/// Returns whether two fields are equal, apart from the members of a struct, which have lines of
/// their own.
fn is_same(a: &Field, b: &Field) -> bool {
    a.path == b.path && a.offset == b.offset && a.kind.to_string() == b.kind.to_string()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (here, there) = match self {
            Difference::Version { here, there } => {
                return write!(f, "the versions: here {here}, there {there}");
            }
            Difference::Field { here, there } => (here, there),
        };
        let path = here.as_ref().or(there.as_ref()).map_or("", |it| &it.path);
        write!(f, "field `{path}`: ")?;
        match here {
            Some(field) => write!(f, "here {} at {}, ", field.kind, field.offset)?,
            None => f.write_str("missing here, ")?,
        }
        match there {
            Some(field) => write!(f, "there {} at {}", field.kind, field.offset),
            None => f.write_str("missing there"),
        }
    }
}
