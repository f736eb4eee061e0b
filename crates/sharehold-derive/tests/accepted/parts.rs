//! Structs of parts, nested, with names that are keywords and whatever visibility.

mod inner {
    use sharehold::{Event, Part, RwLock};

    #[derive(Part)]
    pub(crate) struct Inner {
        pub(crate) r#type: Event,
        pub(super) value: RwLock<[u8; 3]>,
    }
}

/// Documented.
#[derive(Debug, sharehold::Part)]
pub struct Outer {
    /// Documented, too.
    pub permits: sharehold::Semaphore,
    once: sharehold::OnceLock<i128>,
}

fn main() {
    let _ = |inner: inner::Inner| (inner.r#type.set(), inner.value.get());
    let _ = |outer: Outer| (outer.permits.available(), outer.once.get());
    let _ = inner::InnerInit {
        r#type: sharehold::ResetMode::Auto,
        value: [0; 3],
    };
    let _ = OuterInit { permits: 1, once: () };
}
