//! Transactions: any number of writes to a segment's bytes that are committed together or not at
//! all.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Error, ErrorKind, Result};
use crate::lock::SegmentGuard;
use crate::segment::undo::UndoLog;
use crate::segment::{Attached, Segment, SegmentData};

const TRANSACT: &str = "change";

impl Segment {
    /// Locks the segment and makes all the changes of `change`, or none of them.
    ///
    /// It makes none if `change` returns an error or panics, or if the log is full. The lock is
    /// then released, and the next owner gets no report, because the data are unchanged. The
    /// segment needs a [log](crate::SegmentOptions::log).
    ///
    /// # When a process dies
    ///
    /// The next owner rolls the changes back and gets the lock without a report: there is nothing
    /// to repair. If it dies during the rollback, the owner after it repeats the rollback.
    ///
    /// # Errors
    ///
    /// The error of `change`; [`ErrorKind::LogFull`]; [`ErrorKind::Abandoned`] if an owner of the
    /// plain [lock](Segment::lock) left the data inconsistent; the other errors of
    /// [`Segment::lock`].
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
    /// Makes all the changes of `change`, or none of them, under the lock that this guard holds.
    ///
    /// # When a process dies
    ///
    /// The next owner rolls the changes back. It still learns of the death, because the guard could
    /// also have been used for plain writes. [`Segment::transaction`] uses a lock that cannot.
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

/// Runs `change`, then commits or rolls back. The calling thread has the lock.
#[inline]
fn transact<R, E: From<Error>>(
    attached: &Attached,
    change: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
) -> Result<R, E> {
    let undo = UndoLog::of(attached);
    if undo.is_open() {
        // Recovering the lock already rolls back what a death left. So this is not a log: another
        // program has overwritten it.
        undo.commit();
    }
    let uncommitted = Uncommitted { attached, undo };
    let mut transaction = Transaction {
        bytes: SegmentData::new(attached),
        undo,
        failed: false,
    };
    let result = change(&mut transaction)?;
    if transaction.failed {
        let detail = "one of its writes failed, so all of them were rolled back; return the \
                      error of that write";
        return Err(Error::new(ErrorKind::LogFull, TRANSACT, detail)
            .with_key(attached.key())
            .into());
    }
    attached.check_fork(TRANSACT)?;
    undo.commit();
    drop(uncommitted);
    Ok(result)
}

/// Rolls back uncommitted changes when dropped.
struct Uncommitted<'a> {
    attached: &'a Attached,
    undo: UndoLog<'a>,
}

impl Drop for Uncommitted<'_> {
    #[inline]
    fn drop(&mut self) {
        // In a forked child this is the transaction of the parent.
        if self.attached.is_ours() && self.undo.is_open() {
            // This fails only if another program has overwritten the log. There is no better remedy
            // then.
            self.undo.roll_back();
        }
    }
}

/// Reads and writes a segment's data inside a transaction.
///
/// Reads return what the transaction has written so far. After a write that failed, the transaction
/// can no longer commit.
#[derive(Debug)]
pub struct Transaction<'a> {
    bytes: SegmentData<'a>,
    undo: UndoLog<'a>,
    failed: bool,
}

impl Transaction<'_> {
    /// Returns the number of bytes.
    pub fn size(&self) -> usize {
        self.bytes.size()
    }

    /// Copies bytes from the segment, starting at `offset`, until `into` is full.
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

    /// Copies all of `from` into the segment, starting at `offset`.
    ///
    /// # Errors
    ///
    /// As [`SegmentData::write`], and [`ErrorKind::LogFull`] if the old bytes do not fit into the
    /// log. The transaction can then no longer commit.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<()> {
        let done = self
            .keep(offset, from.len())
            .and_then(|()| self.bytes.write(offset, from));
        self.failed |= done.is_err();
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

    /// Exchanges the bytes at `offset` with those of `with`.
    ///
    /// # Errors
    ///
    /// As [`Transaction::write`]. On an error `with` is unchanged.
    pub fn swap(&mut self, offset: usize, with: &mut [u8]) -> Result<()> {
        let mut old = vec![0; with.len()];
        self.read(offset, &mut old)?;
        self.write(offset, with)?;
        with.copy_from_slice(&old);
        Ok(())
    }

    /// Saves the old bytes in the log.
    #[inline]
    fn keep(&self, offset: usize, len: usize) -> Result<()> {
        self.bytes.attached().check_fork(TRANSACT)?;
        // If the range does not exist, the write that follows reports it.
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
            "its log of {} bytes is too small for {len} more bytes and their 16-byte \
             entry; create it with a larger `log`, or change less at once",
            self.undo.capacity()
        );
        Error::new(ErrorKind::LogFull, TRANSACT, detail)
    }
}
