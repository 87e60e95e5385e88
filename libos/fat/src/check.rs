//! After an unclean end.
use crate::volume::{Refused, Volume};
use alloc::sync::Arc;

pub fn run(_vol: &Arc<Volume>) -> Result<(), Refused> {
    Ok(())
}
