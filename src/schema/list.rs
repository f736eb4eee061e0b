//! `List<T, N>`: a list of a fixed capacity.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};

use super::kind::LEN;
use super::support::require;
use super::{Description, Kind, Shareable, in_place};
use crate::memory::{Reader, Writer};

/// A list of at most `N` elements, stored in place: the counterpart of a `Vec` in a struct in
/// shared memory.
///
/// It dereferences to a slice. In memory it is its length in eight bytes, then `N` elements, of
/// which those beyond the length have no meaning. The empty list can be all zeros. Its alignment is
/// that of `T`.
///
/// # Examples
///
/// ```
/// use sharehold::List;
///
/// let mut list = List::<u32, 3>::try_from_iter([4, 5])?;
/// list.push(6)?;
/// let full = list.push(7).unwrap_err();
/// assert_eq!(full.to_string(), "the list is full: it has room for 3 elements");
/// assert_eq!(full.value, 7);
///
/// assert_eq!(list.remove(0), Some(4));
/// list[0] += 10;
/// assert_eq!(list, [15, 6]);
/// assert_eq!(list.iter().sum::<u32>(), 21);
/// # Ok::<(), sharehold::ListFull<u32>>(())
/// ```
///
/// # A map of fixed capacity
///
/// Use a list of pairs. In a [`Shared`](crate::Shared), [`update`](crate::Shared::update) commits
/// all changes of the list together. Other data that must be consistent with the list belong into
/// the same struct, as further fields. Values that one lock protects together are one value.
///
/// ```
/// use sharehold::{List, Shareable, Shared, Text};
///
/// #[derive(Shareable)]
/// #[repr(C)]
/// struct Entry { name: Text<24>, stock: u64 }
///
/// #[derive(Shareable, Default)]
/// #[repr(C)]
/// struct Store { total: u64, entries: List<Entry, 100> }
///
/// impl Store {
///     fn position(&self, name: &str) -> Option<usize> {
///         self.entries.iter().position(|it| it.name == name)
///     }
///
///     fn get(&self, name: &str) -> Option<u64> {
///         Some(self.entries[self.position(name)?].stock)
///     }
///
///     /// Puts in or replaces; `None` when the name is too long, or there is no room.
///     fn insert(&mut self, name: &str, stock: u64) -> Option<()> {
///         match self.position(name) {
///             Some(index) => {
///                 let entry = &mut self.entries[index];
///                 self.total = self.total - entry.stock + stock;
///                 entry.stock = stock;
///             }
///             None => {
///                 let name = Text::try_from(name).ok()?;
///                 self.entries.push(Entry { name, stock }).ok()?;
///                 self.total += stock;
///             }
///         }
///         Some(())
///     }
///
///     fn remove(&mut self, name: &str) -> Option<u64> {
///         let entry = self.entries.swap_remove(self.position(name)?)?;
///         self.total -= entry.stock;
///         Some(entry.stock)
///     }
/// }
///
/// let store = Shared::open_or_create("com.example.store", Store::default)?;
/// store.update(|it| {
///     it.insert("pears", 7)?;
///     it.insert("plums", 20)
/// })?.expect("there is room");
///
/// // Others see plums or prunes, and the total that goes with them; never both, nor neither.
/// // If there were no room for the prunes, the plums would stay.
/// store.try_update(|it| {
///     let plums = it.remove("plums").ok_or("there are no plums")?;
///     it.insert("prunes", plums / 4).ok_or("there is no room")?;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
///
/// let now = store.get()?;
/// assert_eq!((now.get("plums"), now.get("prunes"), now.total), (None, Some(5), 12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "Vec")]
#[doc(alias = "ArrayVec")]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct List<T, const N: usize> {
    /// The length, at most `N`; stored as bytes, so that the elements alone determine the
    /// alignment.
    pub(super) len: [u8; LEN],
    /// The elements, then others that are not accessible.
    pub(super) elements: [T; N],
}

impl<T: Shareable, const N: usize> List<T, N> {
    const NO_PADDING: () = require(
        align_of::<T>() <= LEN,
        "a list has padding before elements that are aligned to more than 8 bytes: use `[u64; 2]` instead of `u128`",
    );

    /// Makes an empty list.
    pub fn new() -> List<T, N> {
        const { Self::NO_PADDING };
        List {
            len: [0; LEN],
            elements: std::array::from_fn(|_| filler()),
        }
    }

    /// Makes a list of all values of an iterator.
    ///
    /// # Errors
    ///
    /// [`ListFull`] with the first value that does not fit. The values before it are dropped. To
    /// keep them, use [`try_extend`](List::try_extend) on an existing list.
    pub fn try_from_iter(values: impl IntoIterator<Item = T>) -> Result<List<T, N>, ListFull<T>> {
        let mut list = List::new();
        list.try_extend(values).map(|()| list)
    }

    /// Appends all values of an iterator.
    ///
    /// # Errors
    ///
    /// [`ListFull`] with the first value that does not fit. The values before it are in the list.
    pub fn try_extend(&mut self, values: impl IntoIterator<Item = T>) -> Result<(), ListFull<T>> {
        values.into_iter().try_for_each(|value| self.push(value))
    }

    /// Appends a value.
    ///
    /// # Errors
    ///
    /// [`ListFull`] with the value.
    pub fn push(&mut self, value: T) -> Result<(), ListFull<T>> {
        let len = self.len();
        let Some(place) = self.elements.get_mut(len) else {
            return Err(ListFull { value, capacity: N });
        };
        *place = value;
        self.set_len(len + 1);
        Ok(())
    }

    /// Removes the last element, and returns it.
    pub fn pop(&mut self) -> Option<T> {
        let last = mem::replace(self.last_mut()?, filler());
        self.set_len(self.len() - 1);
        Some(last)
    }

    /// Removes and returns the element at `index`, and shifts the later elements. Returns `None`
    /// beyond the end.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        if index >= self.len() {
            return None;
        }
        self[index..].rotate_left(1);
        self.pop()
    }

    /// Removes and returns the element at `index`, and replaces it with the last element. Returns
    /// `None` beyond the end.
    pub fn swap_remove(&mut self, index: usize) -> Option<T> {
        if index >= self.len() {
            return None;
        }
        let last = self.len() - 1;
        self.swap(index, last);
        self.pop()
    }

    /// Inserts a value before the element at `index`. An index beyond the end means the end.
    ///
    /// # Errors
    ///
    /// [`ListFull`] with the value.
    pub fn insert(&mut self, index: usize, value: T) -> Result<(), ListFull<T>> {
        let index = index.min(self.len());
        self.push(value)?;
        self[index..].rotate_right(1);
        Ok(())
    }

    /// Keeps the elements for which `keep` returns `true`, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut kept = 0;
        for index in 0..self.len() {
            if keep(&self[index]) {
                self.swap(kept, index);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Removes all but the first `len` elements.
    pub fn truncate(&mut self, len: usize) {
        while self.len() > len {
            self.pop();
        }
    }

    /// Removes all elements.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    fn set_len(&mut self, len: usize) {
        self.len = (len.min(N) as u64).to_ne_bytes();
    }

    /// Reads a length. It is at most `N` when this returns.
    #[inline(always)]
    pub(super) fn read_len(from: &mut Reader<'_>) -> usize {
        let len = usize::try_from(u64::read(from)).unwrap_or(usize::MAX);
        if len > N {
            from.reject();
        }
        len.min(N)
    }
}

impl<T, const N: usize> List<T, N> {
    /// Returns the maximum number of elements, `N`.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// Returns whether the list is full.
    pub fn is_full(&self) -> bool {
        self.len() == N
    }

    /// Returns the elements.
    pub fn as_slice(&self) -> &[T] {
        &self.elements[..self.used()]
    }

    /// Returns the elements, for changing them.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let used = self.used();
        &mut self.elements[..used]
    }

    fn used(&self) -> usize {
        usize::try_from(u64::from_ne_bytes(self.len)).map_or(N, |len| len.min(N))
    }
}

/// The error for a value that does not fit into a [`List`]. It contains the value.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListFull<T> {
    /// The value that does not fit.
    pub value: T,
    /// The capacity of the list.
    pub capacity: usize,
}

impl<T> fmt::Display for ListFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capacity = self.capacity;
        write!(f, "the list is full: it has room for {capacity} elements")
    }
}

/// Does not print the value, so that `T` needs no `Debug`.
impl<T> fmt::Debug for ListFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListFull")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl<T> std::error::Error for ListFull<T> {}

/// Returns a value for the places beyond the length, which are not accessible.
fn filler<T: Shareable>() -> T {
    T::read(&mut Reader::empty())
}

impl<T: Shareable, const N: usize> Shareable for List<T, N> {
    const SIZE: usize = LEN + N * T::SIZE;

    fn describe() -> Description {
        const { Self::NO_PADDING };
        const {
            require(
                N > 0,
                "a list of capacity 0 has no room for elements: use a larger one",
            );
        };
        let Description { name, kind } = T::describe();
        Description {
            name: format!("List<{name}, {N}>"),
            kind: Kind::List {
                element: Box::new(kind),
                capacity: N,
            },
        }
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> List<T, N> {
        let len = Self::read_len(from);
        let mut list = List {
            len: [0; LEN],
            elements: T::read_array(from, len),
        };
        list.set_len(len);
        list
    }

    fn read_into<'a>(from: &mut Reader<'_>, place: &'a mut MaybeUninit<Self>) -> &'a mut Self {
        in_place::list(from, place)
    }

    #[inline(always)]
    fn write(&self, to: &mut Writer<'_>) {
        to.bytes(&self.len);
        T::write_slice(self.as_slice(), to);
        to.zeros((N - self.used()) * T::SIZE);
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a mut List<T, N> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: Shareable, const N: usize> From<[T; N]> for List<T, N> {
    fn from(elements: [T; N]) -> List<T, N> {
        const { Self::NO_PADDING };
        let mut list = List {
            len: [0; LEN],
            elements,
        };
        list.set_len(N);
        list
    }
}

impl<T: Shareable, const N: usize> Default for List<T, N> {
    fn default() -> List<T, N> {
        List::new()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl<T: PartialEq, const N: usize, const M: usize> PartialEq<List<T, M>> for List<T, N> {
    fn eq(&self, other: &List<T, M>) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Eq, const N: usize> Eq for List<T, N> {}

impl<T: PartialEq, const N: usize> PartialEq<[T]> for List<T, N> {
    fn eq(&self, other: &[T]) -> bool {
        self.as_slice() == other
    }
}

impl<T: PartialEq, const N: usize, const M: usize> PartialEq<[T; M]> for List<T, N> {
    fn eq(&self, other: &[T; M]) -> bool {
        self.as_slice() == other
    }
}

impl<T: Hash, const N: usize> Hash for List<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}
