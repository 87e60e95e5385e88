//! Values set once at boot.

#[expect(clippy::disallowed_types, reason = "the wrapper itself")]
type Inner<T> = spin::Once<T>;

/// A value that is set once and then shared.
pub struct Once<T>(Inner<T>);

impl<T> Once<T> {
    /// Not set yet.
    pub const fn new() -> Self {
        Self(Inner::new())
    }
    /// Sets it and returns it; only the first call has an effect.
    pub fn set(&self, f: impl FnOnce() -> T) -> &T {
        self.0.call_once(f)
    }
    /// The value, if set.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}
