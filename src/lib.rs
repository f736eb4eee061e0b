//! Keyed shared memory between processes that no process's death can break.
