//! Many small looks on several processors.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Fewer items than this are not worth a thread.
const WORTH: usize = 512;

/// How many items a thread takes at a time.
const CHUNK: usize = 64;

/// More threads than this gain nothing: the kernel's own locks on directories are in the way.
const THREADS: usize = 4;

/// Does `work` with each item, on several threads where there are many; the results are in the order of the items.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if items.len() < WORTH { 1 } else { processors().min(THREADS) };
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Vec<R>)>> = Mutex::new(Vec::new());
    let run = || {
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(chunk) = items.get(from..items.len().min(from + CHUNK)).filter(|c| !c.is_empty()) else {
                break;
            };
            let results = chunk.iter().map(&work).collect();
            done.lock().unwrap_or_else(PoisonError::into_inner).push((from, results));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread can be had, this one does it all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(from, _)| *from);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_its_result_in_its_place() {
        for count in [0, 1, CHUNK, WORTH - 1, WORTH, 10 * WORTH + 1] {
            let items: Vec<usize> = (0..count).collect();
            let expected: Vec<usize> = (0..count).map(|n| n * 2).collect();
            assert_eq!(map(&items, |n| n * 2), expected);
        }
    }
}
