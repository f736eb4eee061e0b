//! Where two schemas differ: one sentence that names the field and both sides.

use std::fmt;

use super::{Field, Schema};

/// Says where the schema of a program and that of a segment first differ.
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
    /// A field is not the same on both sides, or is on one side only.
    Field {
        /// The field as it is here, if it is.
        here: Option<Field>,
        /// The field as it is there, if it is.
        there: Option<Field>,
    },
    /// The fields are the same; the versions are not.
    Version {
        /// The version here.
        here: u32,
        /// The version there.
        there: u32,
    },
}

/// Compares the lines in order; what only one side has is missing on the other.
pub(super) fn first(here: &Schema, there: &Schema) -> Option<Difference> {
    let ours = here.fields();
    let theirs = there.fields();
    let equal = ours.iter().zip(&theirs).take_while(|(a, b)| is_same(a, b));
    let index = equal.count();
    let (here, there) = match (ours.get(index), theirs.get(index)) {
        // Both sides have ours: theirs was put in before it.
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

/// Whether two fields are the same but for what stands in lines of its own: the members of a struct.
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
