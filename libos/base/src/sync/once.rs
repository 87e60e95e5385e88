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
    /// The value, which `make` makes if there is none yet. Of several that are made at once, the first stays.
    pub fn get_or_try(&self, make: impl FnOnce() -> crate::Result<T>) -> crate::Result<&T> {
        match self.get() {
            Some(value) => Ok(value),
            None => make().map(|value| self.set(|| value)),
        }
    }
    /// The value, if set.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }
}
