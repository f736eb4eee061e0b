//! Schemas: descriptions of types in shared memory.
//!
//! [`Shareable`] copies values between Rust and shared words, and describes their type. [`Schema`]
//! is this description, as stored in a segment. A program compares its own schema with the
//! segment's before it uses a value. A tool that does not have the type reads and changes values by
//! the schema alone.

mod build;
mod difference;
mod entry;
mod in_place;
mod kind;
mod lines;
mod list;
mod number;
mod primitive;
pub(crate) mod support;
#[cfg(test)]
mod tests;
mod text;
mod value;

use std::fmt;
use std::mem::MaybeUninit;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::memory::{Reader, Words, Writer};
pub use build::FieldsError;
pub use difference::Difference;
pub use kind::{Kind, Member, Number, Variant};
pub use lines::{Field, ParseKindError, ParseSchemaError};
pub use list::{List, ListFull};
pub(crate) use primitive::MarkKind;
pub use primitive::Primitive;
pub use text::{Text, TextTooLong};
pub use value::{FieldError, FieldValue};

/// A type that can live in shared memory: it has a fixed layout and no pointers, and is copied in
/// and out.
///
/// It is implemented for numbers of fixed width, `bool`, arrays, [`Text`] and [`List`]. Derive it
/// for structs of these, and for enums without fields. A `Box<T>` is a `T` in shared memory and on
/// the heap elsewhere; it cannot be a field.
///
/// # Examples
///
/// ```
/// use sharehold::{List, Schema, Shareable, Text};
///
/// #[derive(Shareable)]
/// #[repr(u8)]
/// enum State { Idle, Busy }
///
/// #[derive(Shareable)]
/// #[repr(C)]
/// struct Limits { min: u64, max: u64 }
///
/// #[derive(Shareable)]
/// #[repr(C)]
/// #[shareable(version = 2)]
/// struct Worker {
///     limits: Limits,
///     name: Text<24>,
///     jobs: List<u32, 4>,
///     state: State,
///     reserved: [u8; 7],
/// }
///
/// assert_eq!(
///     Schema::of::<Worker>().to_text(),
///     "\
/// size 80 version 2 type Worker
/// 0 16 limits struct
/// 0 8 limits.min u64
/// 8 8 limits.max u64
/// 16 32 name Text<24>
/// 48 24 jobs List<u32, 4>
/// 72 1 state enum u8 {Idle=0, Busy=1}
/// 73 7 reserved [u8; 7]
/// "
/// );
/// ```
///
/// # The derive
///
/// A struct is `#[repr(C)]`; an enum has a fixed width such as `#[repr(u8)]`. Neither has generic
/// parameters or `Drop`. A field whose bytes would have another meaning in another process or
/// program is a compile-time error. The message names the field and the type to use instead:
///
/// | instead of | use |
/// |---|---|
/// | `usize`, `isize` | `u64`, `i64` |
/// | `char` | `u32`, with `char::from_u32` |
/// | `String`, `&str` | [`Text<N>`](Text) |
/// | `Vec<T>`, `&[T]`, `Option<T>` | [`List<T, N>`](List) |
/// | `Box<T>`, references, pointers | the value itself, or an index into an array |
/// | `HashMap` | an array, or a [`List`] of pairs |
/// | padding between or after fields | another order, or `reserved: [u8; N]` |
///
/// # Versions
///
/// Types with different fields have different schemas. Use `#[shareable(version = 2)]` for a change
/// that the fields do not show, such as another unit. The default is 1. The name of the type is for
/// people only: renaming it changes nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot live in shared memory",
    label = "not `Shareable`",
    note = "for your own type: `#[derive(Shareable)]` with `#[repr(C)]`, or `#[repr(u8)]` for an enum without fields",
    note = "instead of `usize` and `isize` use `u64` and `i64`; instead of `char` use `u32`",
    note = "instead of `String` and `&str` use `Text<N>`; instead of `Vec` and `Option` use `List<T, N>`",
    note = "instead of a pointer or reference use the value itself, or its index in an array"
)]
pub trait Shareable: Sized + 'static {
    /// Makes a blank value on the heap: numbers are 0, texts and lists are empty, and each enum is
    /// its first variant.
    ///
    /// Together with a [`Box`] of the type, this keeps a value that is too large for the stack off
    /// the stack: see [`Shared`](crate::Shared#large-values).
    fn blank() -> Box<Self> {
        in_place::boxed(&mut Reader::empty())
    }

    /// The size in bytes in shared memory.
    #[doc(hidden)]
    const SIZE: usize = size_of::<Self>();

    /// Describes the bytes.
    #[doc(hidden)]
    fn describe() -> Description;

    /// Reads a value. For invalid bytes, calls `reject` and returns any value.
    #[doc(hidden)]
    fn read(from: &mut Reader<'_>) -> Self;

    /// Reads a value into `place` and returns it there. As `read`, but not through the stack.
    #[doc(hidden)]
    #[inline]
    fn read_into<'a>(from: &mut Reader<'_>, place: &'a mut MaybeUninit<Self>) -> &'a mut Self {
        place.write(Self::read(from))
    }

    /// Reads consecutive values into `places` and returns them there. Only the first `len` must be
    /// valid.
    #[doc(hidden)]
    fn read_slice_into<'a>(
        from: &mut Reader<'_>,
        len: usize,
        places: &'a mut [MaybeUninit<Self>],
    ) -> &'a mut [Self] {
        in_place::fill_slice(from, len, places)
    }

    /// Writes all bytes of the value.
    #[doc(hidden)]
    fn write(&self, to: &mut Writer<'_>);

    /// Reads consecutive values, of which only the first `len` must be valid.
    #[doc(hidden)]
    #[inline(always)]
    fn read_array<const N: usize>(from: &mut Reader<'_>, len: usize) -> [Self; N] {
        from.array(Self::SIZE, len, |from| Self::read(from))
    }

    /// Writes values one after another.
    #[doc(hidden)]
    #[inline(always)]
    fn write_slice(values: &[Self], to: &mut Writer<'_>) {
        for value in values {
            value.write(to);
        }
    }

    /// Loads the value at `at`, or returns `None` if the bytes there are no valid value of this
    /// type.
    #[doc(hidden)]
    #[inline(always)]
    fn load(from: &Words<'_>, at: usize) -> Option<Self> {
        let mut reader = from.reader(at, Self::SIZE)?;
        let value = Self::read(&mut reader);
        reader.is_valid().then_some(value)
    }

    /// Stores the value at `at`. The caller ensures that only this thread stores there at this
    /// time. Stores nothing beyond the piece.
    #[doc(hidden)]
    #[inline(always)]
    fn store(&self, to: &Words<'_>, at: usize) {
        if let Some(mut writer) = to.writer(at, Self::SIZE) {
            self.write(&mut writer);
            writer.finish();
        }
    }
}

/// The name of a type and the description of its bytes.
#[doc(hidden)]
#[derive(Debug)]
pub struct Description {
    name: String,
    kind: Kind,
}

impl Description {
    /// Describes a type whose name is its kind.
    fn of(kind: Kind) -> Description {
        let name = kind.to_string();
        Description { name, kind }
    }

    /// Describes a struct by the names and descriptions of its fields.
    pub fn of_struct<const N: usize>(
        name: &str,
        version: u32,
        fields: [(&str, Description); N],
    ) -> Description {
        let members = fields.into_iter().map(|(name, field)| Member {
            name: name.to_owned(),
            kind: field.kind,
        });
        Description {
            name: name.to_owned(),
            kind: Kind::Struct {
                version,
                members: members.collect(),
            },
        }
    }

    /// Describes a part, with the value that it guards, if any.
    pub(crate) fn of_part(primitive: Primitive, value: Option<Description>) -> Description {
        let name = match &value {
            Some(value) => format!("{}<{}>", primitive.name(), value.name),
            None => primitive.name().to_owned(),
        };
        let value = value.map(|it| Box::new(it.kind));
        let kind = Kind::Part { primitive, value };
        Description { name, kind }
    }

    /// Describes an enum with numbers of type `T`, by the names and numbers of its variants.
    pub fn of_enum<T: Shareable, const N: usize>(
        name: &str,
        variants: [(&str, i128); N],
    ) -> Description {
        let Kind::Number(repr) = T::describe().kind else {
            return T::describe();
        };
        let variants = variants.into_iter().map(|(name, number)| Variant {
            name: name.to_owned(),
            number,
        });
        Description {
            name: name.to_owned(),
            kind: Kind::Enum {
                repr,
                variants: variants.collect(),
            },
        }
    }
}

/// A description of a type in shared memory: its name, its version, and every field.
///
/// Two schemas are equal if all of these are equal. Two programs are compatible if
/// [`first_difference`](Schema::first_difference) finds none or their
/// [fingerprints](Schema::fingerprint) are equal; the name is then ignored.
///
/// # Examples
///
/// ```
/// use sharehold::{Schema, Shareable};
///
/// #[derive(Shareable)]
/// #[repr(C)]
/// struct Tally { value: u64, by_worker: [u64; 8] }
///
/// let schema = Schema::of::<Tally>();
/// assert_eq!(schema.size(), 72);
/// assert_eq!(schema.fields()[1].to_string(), "8 64 by_worker [u64; 8]");
///
/// // The text alone describes the type completely.
/// let found = Schema::parse(&schema.to_text())?;
/// assert_eq!(found.fingerprint(), schema.fingerprint());
///
/// let mut bytes = [0; 72];
/// found.set(&mut bytes, "by_worker[3]", "7")?;
/// assert_eq!(found.get(&bytes, "by_worker")?.to_string(), "[0, 0, 0, 7, 0, 0, 0, 0]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    name: String,
    kind: Kind,
}

impl Schema {
    /// Describes `T`.
    pub fn of<T: Shareable>() -> Schema {
        Schema::from_description(T::describe())
    }

    /// The maximum number of levels of structs, arrays, lists and parts in a schema.
    pub(crate) const MAX_LEVELS: usize = lines::MAX_LEVELS;

    /// Returns whether [`Schema::parse`] accepts the text of this schema. The schema of a Rust type
    /// may have too many levels.
    pub(crate) fn can_be_parsed(&self) -> bool {
        self.kind.levels() <= Schema::MAX_LEVELS
    }

    pub(crate) fn from_description(Description { name, kind }: Description) -> Schema {
        Schema { name, kind }
    }

    /// Parses the text of a schema, which must be exactly as [`Schema::to_text`] writes it.
    ///
    /// # Errors
    ///
    /// The text is invalid; the error names the line.
    pub fn parse(text: &str) -> Result<Schema, ParseSchemaError> {
        lines::parse(text)
    }

    /// Parses the first line of a schema's text.
    pub(crate) fn headline(line: &str) -> Option<lines::Head<'_>> {
        lines::head(line)
    }

    /// Returns whether the beginning of a schema's text, in whole lines, describes parts, or `None`
    /// if it is too short to tell.
    pub(crate) fn begins_with_part(text: &str) -> Option<bool> {
        lines::begins_with_part(text)
    }

    /// Describes a struct with these fields in this order, for a tool without a Rust type for it.
    ///
    /// Inserts fields of bytes named `reserved`, `reserved2` and so on where Rust would insert
    /// padding. So a program can declare the same type as a `#[repr(C)]` struct.
    ///
    /// # Errors
    ///
    /// [`FieldsError`] names a field that no Rust struct can have, and the reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::Schema;
    ///
    /// let fields = [("open", "bool"), ("count", "u64"), ("name", "Text<32>")];
    /// let fields = fields.map(|(name, kind)| Ok((name.to_owned(), kind.parse()?)));
    /// let fields = fields.into_iter().collect::<Result<Vec<_>, sharehold::ParseKindError>>()?;
    /// let schema = Schema::from_fields("Job", fields)?;
    /// assert_eq!(
    ///     schema.to_text(),
    ///     "\
    /// size 56 version 1 type Job
    /// 0 1 open bool
    /// 1 7 reserved [u8; 7]
    /// 8 8 count u64
    /// 16 40 name Text<32>
    /// "
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_fields(name: &str, fields: Vec<(String, Kind)>) -> Result<Schema, FieldsError> {
        build::from_fields(name, fields)
    }

    /// Returns the text that a segment stores: one line for the type, then one line for each field.
    ///
    /// The first line contains `size` and the bytes of a value, `version` and a number, `type` and
    /// the name. The other lines contain the offset, size, path and kind of a [`Field`]. Numbers
    /// are decimal. Words are separated by one space. Name and kind come last because they may
    /// contain spaces.
    pub fn to_text(&self) -> String {
        lines::write(self, true)
    }

    /// Returns the first 8 bytes of the SHA-256 of the text without the name, as a big-endian
    /// number.
    pub fn fingerprint(&self) -> u64 {
        let digest = Sha256::digest(lines::write(self, false));
        digest
            .iter()
            .take(size_of::<u64>())
            .fold(0, |hash, &byte| hash << 8 | u64::from(byte))
    }

    /// Returns the name of the type in its program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the version of the type, by default 1.
    pub fn version(&self) -> u32 {
        match self.kind {
            Kind::Struct { version, .. } => version,
            _ => 1,
        }
    }

    /// Returns the size of a value in bytes.
    pub fn size(&self) -> usize {
        self.kind.size()
    }

    /// Returns the kind of a value's bytes.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns whether it describes a segment of [parts](crate::Part) instead of one value.
    pub fn is_of_parts(&self) -> bool {
        self.kind.is_of_parts()
    }

    /// Returns the schema of the value that the part at a path guards, or `None` if there is no
    /// part or it guards no value.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Mutex, OnceLock, Part};
    ///
    /// # #[derive(Part)]
    /// # struct Family { total: Mutex<u64>, table: OnceLock<[u32; 2]> }
    /// # let family = Family::open_or_create("com.example.guarded", || FamilyInit { total: 7, table: () })?;
    /// let seen = sharehold::inspect("com.example.guarded")?;
    /// let schema = seen.schema?.expect("it is of parts");
    /// let total = schema.guarded_by("total").expect("it is a mutex");
    /// let value = seen.parts[0].value.as_ref().expect("it has one");
    /// assert_eq!(total.get(value, ".")?.to_string(), "7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn guarded_by(&self, path: &str) -> Option<Schema> {
        let mut fields = self.fields().into_iter();
        match fields.find(|field| field.path == path)?.kind {
            Kind::Part { value, .. } => Some(Schema {
                name: self.name.clone(),
                kind: *value?,
            }),
            _ => None,
        }
    }

    /// Returns the part that a path leads to or into: the path of the part, its primitive, and the
    /// rest of the path. The rest is a field of the guarded value, or `.` for the whole value.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Primitive, Schema};
    ///
    /// let text = "size 384 version 1 type Config\n0 384 limits RwLock<[u64; 2]>\n";
    /// # let text = "size 512 version 1 type Config\n0 512 limits RwLock<[u64; 2]>\n";
    /// let schema = Schema::parse(text)?;
    /// let found = schema.part_of("limits[1]");
    /// assert_eq!(found, Some(("limits".to_owned(), Primitive::RwLock, "[1]".to_owned())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn part_of(&self, path: &str) -> Option<(String, Primitive, String)> {
        self.parts().find_map(|(part, _, primitive)| {
            if part == "." {
                return Some((part, primitive, path.to_owned()));
            }
            let rest = path.strip_prefix(&part)?;
            let rest = match rest.strip_prefix('.') {
                Some(member) => member,
                None if rest.is_empty() => ".",
                None if rest.starts_with('[') => rest,
                None => return None,
            };
            Some((part, primitive, rest.to_owned()))
        })
    }

    /// Returns every part: its path, its offset and its primitive.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (String, usize, Primitive)> {
        let fields = self.fields().into_iter();
        fields.filter_map(|field| match field.kind {
            Kind::Part { primitive, .. } => Some((field.path, field.offset, primitive)),
            _ => None,
        })
    }

    /// Returns the path of the part that begins at an offset.
    pub(crate) fn part_at(&self, offset: usize) -> Option<String> {
        let found = self.parts().find(|(_, at, _)| *at == offset);
        found.map(|(path, _, _)| path)
    }

    /// Returns every field in the order of offsets, a struct before its members.
    ///
    /// The members of the elements of an array or a list have `[]` in their paths, and offsets from
    /// the beginning of the element. A value that is not a struct has one field, `.`.
    pub fn fields(&self) -> Vec<Field> {
        lines::fields(&self.kind)
    }

    /// Returns the first difference between this schema and the schema `there`. Names of types are
    /// not compared.
    pub fn first_difference(&self, there: &Schema) -> Option<Difference> {
        difference::first(self, there)
    }

    /// Finds a field by its path, such as `limits.max`, `by_worker[3]` or `moves[1].amount`. The
    /// path `.` is the whole value.
    ///
    /// The offset is counted from the beginning of the value. Elements of a list are found up to
    /// its capacity, even beyond its length.
    ///
    /// # Errors
    ///
    /// [`FieldError::Unknown`], [`FieldError::OutOfRange`].
    pub fn field(&self, path: &str) -> Result<Field, FieldError> {
        value::find(&self.kind, path, None)
    }

    /// Returns the bytes of a blank value: numbers are 0, texts and lists are empty, and each enum
    /// is its first variant. Returns `None` if there is not enough memory.
    pub fn blank(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(self.size()).ok()?;
        bytes.resize(self.size(), 0);
        build::put_blank(&self.kind, &mut bytes);
        Some(bytes)
    }

    /// Fails if the bytes are no valid value.
    ///
    /// # Errors
    ///
    /// [`FieldError::WrongSize`]; [`FieldError::Invalid`] with the first field whose bytes are
    /// invalid.
    pub fn check(&self, bytes: &[u8]) -> Result<(), FieldError> {
        value::check(&self.kind, bytes)
    }

    /// Reads a field from the bytes of a value.
    ///
    /// # Errors
    ///
    /// As [`Schema::field`], and the same error for an element beyond the length of a list;
    /// [`FieldError::WrongSize`]; [`FieldError::Invalid`] if the bytes of the field are invalid.
    pub fn get(&self, bytes: &[u8], path: &str) -> Result<FieldValue, FieldError> {
        value::get(&self.kind, bytes, path)
    }

    /// Changes a field in the bytes of a value to the value that `text` describes, in the format in
    /// which [`FieldValue`] prints it.
    ///
    /// # Errors
    ///
    /// As [`Schema::get`], and [`FieldError::Unfit`] with the values that the field accepts. After
    /// an error the bytes are unchanged.
    pub fn set(&self, bytes: &mut [u8], path: &str, text: &str) -> Result<(), FieldError> {
        value::set(&self.kind, bytes, path, text)
    }
}

/// Parses the text of a schema, as [`Schema::parse`] does.
impl FromStr for Schema {
    type Err = ParseSchemaError;

    fn from_str(text: &str) -> Result<Schema, ParseSchemaError> {
        Schema::parse(text)
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
