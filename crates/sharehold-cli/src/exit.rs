//! The exit codes of all commands, and which error ends with which.
//!
//! | code | means |
//! |---|---|
//! | 0 | done, or the condition holds |
//! | 1 | failed, for a reason without a code of its own |
//! | 2 | wrong usage |
//! | 3 | no such key or field |
//! | 4 | busy, not in time, or the condition does not hold |
//! | 5 | damaged, or of another type or version |
//! | 6 | not permitted or not trusted |
//!
//! `lock` ends with the code of the command that it runs.

use std::process::ExitCode;

use sharehold::{ErrorKind, FieldError};

use crate::output::ReaderGone;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Busy = 4,
    Damaged = 5,
    Refused = 6,
}

impl Exit {
    /// The end that stands for an error: that of the library's error in it, wherever it is in the
    /// chain.
    pub(crate) fn of(error: &anyhow::Error) -> Exit {
        if error.is::<ReaderGone>() {
            return Exit::Done;
        }
        // What was said of an error hides it in the chain.
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if let Some(error) = error.downcast_ref::<FieldError>() {
            return Exit::of_field(error);
        }
        let found = error.chain().find_map(|cause| {
            let of_library = cause.downcast_ref::<sharehold::Error>();
            let of_field = cause.downcast_ref::<FieldError>();
            of_library
                .map(|error| Exit::of_kind(error.kind()))
                .or_else(|| of_field.map(Exit::of_field))
        });
        found.unwrap_or(Exit::Failed)
    }

    /// The end that stands for a kind of the library's errors.
    pub(crate) fn of_kind(kind: ErrorKind) -> Exit {
        use ErrorKind as Kind;
        match kind {
            Kind::InvalidKey | Kind::InvalidOption => Exit::Usage,
            Kind::NotFound => Exit::NotFound,
            Kind::AlreadyExists
            | Kind::TooManyAttachments
            | Kind::Busy
            | Kind::Timeout
            | Kind::WouldBlock => Exit::Busy,
            Kind::Damaged
            | Kind::Abandoned
            | Kind::WrongVersion
            | Kind::TypeMismatch
            | Kind::Migrated => Exit::Damaged,
            Kind::PermissionDenied | Kind::NotTrusted => Exit::Refused,
            _ => Exit::Failed,
        }
    }

    fn of_field(error: &FieldError) -> Exit {
        match error {
            FieldError::Unknown { .. } | FieldError::OutOfRange { .. } => Exit::NotFound,
            FieldError::Unfit { .. } => Exit::Usage,
            FieldError::WrongSize { .. } | FieldError::Invalid { .. } => Exit::Damaged,
            _ => Exit::Failed,
        }
    }
}

/// Says why a command ends as it does, where no error of the library says it.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Failure {
    exit: Exit,
    detail: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, detail: impl Into<String>) -> Failure {
        let detail = detail.into();
        Failure { exit, detail }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
