//! The order of modules in the index: that of modules.order, then by a hash of their names.

use std::collections::HashMap;

use super::hash::module_bucket;
use super::names::Named;
use super::odd::{Odd, odd};

/// The longest line of modules.order that is used, in bytes.
const LONGEST: usize = 1000;

/// Which line counts for a file that modules.order names twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twice {
    First,
    Last,
}

/// Brings modules into the order of their index.
///
/// # Errors
/// When modules.order is unusual.
pub(super) fn sort(modules: &mut [Named<'_>], order: Option<&[u8]>, twice: Twice) -> Result<(), Odd> {
    let places = match order {
        Some(order) => places(order, twice)?,
        None => HashMap::new(),
    };
    modules.sort_by_cached_key(|module| {
        let place = places.get(module.in_order()).copied().unwrap_or(usize::MAX);
        (place, module_bucket(&module.name), module.name.clone())
    });
    Ok(())
}

/// The line of each file that modules.order names. Of a last line without an end, depmod(8) says that it is wrong.
fn places(order: &[u8], twice: Twice) -> Result<HashMap<&[u8], usize>, Odd> {
    if !order.is_empty() && !order.ends_with(b"\n") {
        return Err(odd("its last line has no end").of("modules.order"));
    }
    let mut places = HashMap::new();
    for (at, line) in order.split(|&byte| byte == b'\n').enumerate() {
        if line.len() > LONGEST || line.contains(&0) {
            return Err(odd("it has a line of its own kind").of("modules.order"));
        }
        match twice {
            Twice::First => _ = places.entry(line).or_insert(at),
            Twice::Last => _ = places.insert(line, at),
        }
    }
    Ok(places)
}
