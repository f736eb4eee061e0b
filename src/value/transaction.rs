//! Transactions: any number of writes to a segment's bytes that become final together or not at all.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Error, ErrorKind, Result};
use crate::lock::SegmentGuard;
use crate::segment::undo::UndoLog;
use crate::segment::{Attached, Segment, SegmentData};

const TRANSACT: &str = "change";

impl Segment {
    /// Locks the segment and makes all the changes of `change`, or none of them.
    ///
    /// None are made when `change` returns an error or panics, or when the log is full; the lock is then released, and nobody is
    /// told, since the data are whole. The segment needs a [log](crate::SegmentOptions::log).
    ///
    /// # When a process dies
    ///
    /// The next one to lock rolls the changes back, and gets the lock as if nothing had happened: there is nothing to
    /// repair. That one may die in the middle of it, too.
    ///
    /// # Errors
    ///
    /// The error of `change`; [`ErrorKind::LogFull`]; [`ErrorKind::Abandoned`] when somebody who wrote under a plain
    /// [lock](Segment::lock) left the data inconsistent; the errors of [`Segment::lock`] other than that.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::Segment;
    ///
    /// let accounts = Segment::options().size(16).log(256).open_or_create("com.example.accounts")?;
    /// accounts.transaction(|tx| {
    ///     let (from, to): (u64, u64) = (tx.read_at(0)?, tx.read_at(8)?);
    ///     tx.write_at(0, &from.saturating_sub(5))?;
    ///     tx.write_at(8, &(to + from.min(5)))
    /// })?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub fn transaction<R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let _hold = self.lock_atomically()?;
        transact(self.attached(), change)
    }
}

impl<B> SegmentGuard<'_, B> {
    /// Makes all the changes of `change`, or none of them, under the lock that is held already.
    ///
    /// # When a process dies
    ///
    /// The changes are rolled back by the next one to lock. That one is told of the death all the same, because the guard
    /// could have been used for plain writes, too: see [`Segment::transaction`] for a lock that cannot.
    ///
    /// # Errors
    ///
    /// The error of `change`; [`ErrorKind::LogFull`]; [`ErrorKind::Forked`].
    pub fn transaction<R, E: From<Error>>(
        &mut self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.segment().attached().check_fork(TRANSACT)?;
        transact(self.segment().attached(), change)
    }
}

/// Runs `change` and commits, or rolls back. The calling thread holds the lock.
#[inline]
fn transact<R, E: From<Error>>(
    attached: &Attached,
    change: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
) -> Result<R, E> {
    let undo = UndoLog::of(attached);
    if undo.is_open() {
        // What a death leaves open is rolled back with the lock; this is no log, but something that overwrote it.
        undo.commit();
    }
    let uncommitted = Uncommitted { attached, undo };
    let mut transaction = Transaction {
        bytes: SegmentData::new(attached),
        undo,
        refused: false,
    };
    let result = change(&mut transaction)?;
    if transaction.refused {
        let detail = "one of its writes was refused, so all of them are taken back; return that write's error";
        return Err(Error::new(ErrorKind::LogFull, TRANSACT, detail)
            .with_key(attached.key())
            .into());
    }
    attached.check_fork(TRANSACT)?;
    undo.commit();
    drop(uncommitted);
    Ok(result)
}

/// Rolls back what was not committed when dropped.
struct Uncommitted<'a> {
    attached: &'a Attached,
    undo: UndoLog<'a>,
}

impl Drop for Uncommitted<'_> {
    #[inline]
    fn drop(&mut self) {
        // What a forked child comes out of is the parent's transaction.
        if self.attached.is_ours() && self.undo.is_open() {
            // It fails when somebody else has overwritten the log, and then nothing better can be done.
            self.undo.roll_back();
        }
    }
}

/// Reads and writes a segment's data inside a transaction.
///
/// Reads see what the transaction has written so far. After a refused write the transaction can no longer commit.
#[derive(Debug)]
pub struct Transaction<'a> {
    bytes: SegmentData<'a>,
    undo: UndoLog<'a>,
    refused: bool,
}

impl Transaction<'_> {
    /// Returns how many bytes there are.
    pub fn size(&self) -> usize {
        self.bytes.size()
    }

    /// Copies bytes out of the segment, from `offset` on, until `into` is full.
    ///
    /// # Errors
    ///
    /// As [`SegmentData::read`].
    #[inline]
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.bytes.read(offset, into)
    }

    /// Reads a value at `offset`, which need not be aligned.
    ///
    /// # Errors
    ///
    /// As [`SegmentData::read_at`].
    #[inline]
    pub fn read_at<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        self.bytes.read_at(offset)
    }

    /// Copies all of `from` into the segment, from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`SegmentData::write`], and [`ErrorKind::LogFull`] when the log cannot take what stands there; then the transaction can no
    /// longer commit.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<()> {
        let done = self
            .keep(offset, from.len())
            .and_then(|()| self.bytes.write(offset, from));
        self.refused |= done.is_err();
        done
    }

    /// Writes a value at `offset`, which need not be aligned.
    ///
    /// # Errors
    ///
    /// As [`Transaction::write`].
    #[inline]
    pub fn write_at<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Result<()> {
        self.write(offset, value.as_bytes())
    }

    /// Exchanges the bytes from `offset` on with those of `with`.
    ///
    /// # Errors
    ///
    /// As [`Transaction::write`]; `with` is then as it was.
    pub fn swap(&mut self, offset: usize, with: &mut [u8]) -> Result<()> {
        let mut old = vec![0; with.len()];
        self.read(offset, &mut old)?;
        self.write(offset, with)?;
        with.copy_from_slice(&old);
        Ok(())
    }

    /// Keeps what stands there in the log.
    #[inline]
    fn keep(&self, offset: usize, len: usize) -> Result<()> {
        self.bytes.attached().check_fork(TRANSACT)?;
        // What cannot be written is for the write to say.
        let exists = offset
            .checked_add(len)
            .is_some_and(|end| end <= self.bytes.attached().data().len);
        if !exists || self.undo.keep(offset, len) {
            Ok(())
        } else {
            Err(self.full(len))
        }
    }

    #[cold]
    fn full(&self, len: usize) -> Error {
        let detail = format!(
            "its log of {} bytes has no room for {len} more and 16 for where they belong; create it with a larger `log`, or change less at once",
            self.undo.capacity()
        );
        Error::new(ErrorKind::LogFull, TRANSACT, detail)
    }
}
