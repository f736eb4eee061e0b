//! Keys: from a text to the names that the system knows, and their printed form.
//!
//! Everything here is arithmetic on text; no system object is touched.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use sha1::{Digest, Sha1};

use super::error::{Error, ErrorKind, Result};
use crate::sys::ipc;

/// Says which of the system's objects a native key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// System V objects: the native key is the path of a file, the project is the other half of
    /// `ftok`.
    SystemV {
        /// Qt's own is the letter Q; Qt programs can use 1 to 127.
        project: NonZeroU8,
    },
    /// POSIX real-time objects: the native key is a name that begins with a slash.
    Posix,
    /// Windows kernel objects, which no other system has.
    Windows,
}

const POSIX: u16 = 0x100;
const WINDOWS: u16 = 0x101;
/// The letter Q.
// INVARIANT: it is not zero, which the compiler checks.
const QT_PROJECT: NonZeroU8 = NonZeroU8::new(0x51).unwrap();
/// The projects above make a negative key, which Qt takes for a failure.
const LAST_PROJECT: u8 = 127;

impl KeyType {
    /// What text keys mean to every Qt program of Linux that was looked at.
    pub const SYSTEM_V: KeyType = KeyType::SystemV {
        project: QT_PROJECT,
    };

    /// Returns the number that Qt's `QNativeIpcKey::Type` has for it.
    pub fn number(self) -> u16 {
        match self {
            KeyType::SystemV { project } => project.get().into(),
            KeyType::Posix => POSIX,
            KeyType::Windows => WINDOWS,
        }
    }

    /// Finds the type with Qt's number; 0 and unknown numbers have none.
    pub fn from_number(number: u16) -> Option<KeyType> {
        match number {
            POSIX => Some(KeyType::Posix),
            WINDOWS => Some(KeyType::Windows),
            _ => {
                let project = NonZeroU8::new(u8::try_from(number).ok()?)?;
                Some(KeyType::SystemV { project })
            }
        }
    }

    /// Tells whether Qt programs and this library can use such keys here.
    #[doc(alias = "isKeyTypeSupported")]
    pub fn is_supported(self) -> bool {
        match self {
            KeyType::SystemV { project } => ipc::SUPPORTED && project.get() <= LAST_PROJECT,
            KeyType::Posix => ipc::SUPPORTED,
            KeyType::Windows => false,
        }
    }
}

/// Says which of the two objects of a key is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Memory,
    Semaphore,
}

impl Object {
    /// How its names begin.
    fn prefix(self) -> &'static str {
        match self {
            Object::Memory => "qipc_sharedmemory_",
            Object::Semaphore => "qipc_systemsem_",
        }
    }

    /// What stands for the text key in a name of such an object; `None` for another name.
    pub(super) fn stem_of(self, name: &str) -> Option<&str> {
        name.strip_prefix(self.prefix())
    }
}

/// Names an object as the system knows it: a path, or a name in the system's own list.
///
/// A key made from a text remembers the text, and prints it too. Two keys are equal when type,
/// native key and remembered text are.
///
/// # Examples
///
/// ```
/// use sharehold::qt::{KeyType, NativeIpcKey};
///
/// let key = NativeIpcKey::for_memory("hello world", KeyType::SYSTEM_V, "/tmp");
/// assert_eq!(
///     key.native_key(),
///     "/tmp/qipc_sharedmemory_helloworld2aae6c35c94fcfb415dbe95f408b9ce91ee846ed",
/// );
/// let text = key.to_string();
/// assert!(text.starts_with("systemv:/tmp/qipc_") && text.ends_with("?legacyKey=hello world"));
/// assert_eq!(text.parse::<NativeIpcKey>()?, key);
/// # Ok::<(), sharehold::qt::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[doc(alias = "QNativeIpcKey")]
pub struct NativeIpcKey {
    key_type: KeyType,
    native: String,
    text: Option<String>,
}

impl NativeIpcKey {
    /// Takes a native key as it is: a path for System V, `/name` for POSIX.
    pub fn new(native: impl Into<String>, key_type: KeyType) -> NativeIpcKey {
        NativeIpcKey {
            key_type,
            native: native.into(),
            text: None,
        }
    }

    /// Derives the native key of the memory that Qt programs mean by a text key.
    ///
    /// `directory` is where System V's key files are, see [`temp_dir`](super::temp_dir).
    #[doc(alias = "legacyNativeKey")]
    pub fn for_memory(text: &str, key_type: KeyType, directory: &str) -> NativeIpcKey {
        NativeIpcKey::derive(text, key_type, directory, Object::Memory)
    }

    /// Derives the native key of the semaphore that Qt programs mean by a text key.
    ///
    /// The lock of the memory with the same text key is this semaphore.
    pub fn for_semaphore(text: &str, key_type: KeyType, directory: &str) -> NativeIpcKey {
        NativeIpcKey::derive(text, key_type, directory, Object::Semaphore)
    }

    pub(super) fn derive(
        text: &str,
        key_type: KeyType,
        directory: &str,
        object: Object,
    ) -> NativeIpcKey {
        if text.is_empty() {
            return NativeIpcKey::new("", key_type);
        }
        NativeIpcKey {
            text: Some(text.to_owned()),
            ..NativeIpcKey::with_stem(&stem(text), key_type, directory, object)
        }
    }

    /// The native key with a stem, which is what stands for the text key in it.
    pub(super) fn with_stem(
        stem: &str,
        key_type: KeyType,
        directory: &str,
        object: Object,
    ) -> NativeIpcKey {
        let prefix = object.prefix();
        let native = match key_type {
            KeyType::SystemV { .. } => {
                format!("{}/{prefix}{stem}", directory.trim_end_matches('/'))
            }
            KeyType::Posix => format!("/{prefix}{stem}"),
            KeyType::Windows => format!("{prefix}{stem}"),
        };
        NativeIpcKey::new(native, key_type)
    }

    /// Returns which of the system's objects it names.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Returns the path or name.
    #[doc(alias = "nativeKey")]
    pub fn native_key(&self) -> &str {
        &self.native
    }

    /// Returns the text it was derived from, if it was.
    #[doc(alias = "legacyKey")]
    pub fn text_key(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Tells whether it names nothing at all.
    pub fn is_empty(&self) -> bool {
        self.native.is_empty()
    }

    /// What to call it in messages.
    pub(super) fn label(&self) -> &str {
        self.text.as_deref().unwrap_or(&self.native)
    }
}

/// What stands for a text key in the names of its objects.
fn stem(text: &str) -> String {
    use std::fmt::Write as _;
    let mut stem: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    for byte in Sha1::digest(text) {
        // Writing to a string does not fail.
        let _ = write!(stem, "{byte:02x}");
    }
    stem
}

/// Prints the form that Qt 6.6 and later print and parse.
impl fmt::Display for NativeIpcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key_type {
            KeyType::SYSTEM_V => write!(f, "systemv:")?,
            KeyType::SystemV { project } => write!(f, "systemv-{project}:")?,
            KeyType::Posix => write!(f, "posix:")?,
            KeyType::Windows => write!(f, "windows:")?,
        }
        // A path that begins with two slashes would read as a host.
        match self.native.strip_prefix("//") {
            Some(rest) => write!(f, "/%2F{}", Encoded(rest, "%?#"))?,
            None => write!(f, "{}", Encoded(&self.native, "%?#"))?,
        }
        match &self.text {
            Some(text) => write!(f, "?legacyKey={}", Encoded(text, "%&=#")),
            None => Ok(()),
        }
    }
}

/// Text with control characters, and some more characters, as percent and hex.
struct Encoded<'a>(&'a str, &'static str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| {
            if c.is_ascii_control() || self.1.contains(c) {
                write!(f, "%{:02X}", u32::from(c))
            } else {
                f.write_char(c)
            }
        })
    }
}

impl FromStr for NativeIpcKey {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) and Qt print; a part after `#` is ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyError`] for an unknown type, a host, or an unknown query.
    fn from_str(printed: &str) -> Result<NativeIpcKey> {
        parse(printed).map_err(|detail| {
            Error::new(ErrorKind::KeyError, detail).during("read the native key", printed)
        })
    }
}

fn parse(printed: &str) -> Result<NativeIpcKey, &'static str> {
    let (scheme, rest) = printed
        .split_once(':')
        .ok_or("it has no type; write systemv:, systemv-N:, posix: or windows: before it")?;
    let key_type = match &*scheme.to_ascii_lowercase() {
        "systemv" => KeyType::SYSTEM_V,
        "posix" => KeyType::Posix,
        "windows" => KeyType::Windows,
        other => {
            let digits = other.strip_prefix("systemv-");
            let digits = digits.ok_or("its type is none of systemv, systemv-N, posix, windows")?;
            let project = digits.parse().ok().filter(|_| !digits.starts_with('+'));
            KeyType::SystemV {
                project: project.ok_or("a System V project is a number, 1 to 255")?,
            }
        }
    };
    let rest = rest
        .split_once('#')
        .map_or(rest, |(before, _ignored)| before);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err("it names a host; a path has one slash, or three"),
        None => path,
    };
    let mut text = None;
    for item in query.split('&').filter(|item| !item.is_empty()) {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        if name != "legacyKey" {
            return Err("after the question mark there may only be legacyKey=");
        }
        text = Some(decode(value)).filter(|text| !text.is_empty());
    }
    Ok(NativeIpcKey {
        key_type,
        native: decode(path),
        text,
    })
}

/// Undoes percent encoding; what is none stays as it is, as in Qt.
fn decode(encoded: &str) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.first_chunk().filter(|_| first == b'%');
        let hex = digits.copied().and_then(hex_byte);
        bytes.push(hex.unwrap_or(first));
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_byte(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}
