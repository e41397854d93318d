//! Which modules a module needs, and in which order they are loaded.

use super::facts::Facts;
use super::names::Named;
use super::odd::{Odd, odd};

/// What the modules of an index need of each other.
pub(super) struct Dependencies {
    /// The module that owns each symbol.
    pub(super) owners: Vec<Option<u32>>,
    /// Of each module, all that it needs, in the order in which `modules.dep` names them.
    pub(super) needed: Vec<Vec<u32>>,
}

impl Dependencies {
    /// Of modules that are in the order of their index.
    ///
    /// # Errors
    /// When they go round in a circle; depmod(8) then writes no index.
    pub(super) fn of(facts: &Facts, modules: &[Named<'_>]) -> Result<Self, Odd> {
        let said = |at: usize| facts.modules[modules[at].module as usize];
        let mut owners = vec![None; facts.symbols()];
        for at in 0..modules.len() {
            for &symbol in facts.numbers(said(at).exports) {
                // Of two that export it, the later one.
                owners[symbol as usize] = Some(at as u32);
            }
        }
        // What each module needs directly, in the order of its symbols.
        let mut direct: Vec<Vec<u32>> = Vec::with_capacity(modules.len());
        let mut users = vec![0_u32; modules.len()];
        let mut seen = vec![u32::MAX; modules.len()];
        for at in 0..modules.len() {
            let mut needs = Vec::new();
            for &symbol in facts.numbers(said(at).imports) {
                let Some(owner) = owners[symbol as usize] else { continue };
                if std::mem::replace(&mut seen[owner as usize], at as u32) != at as u32 {
                    needs.push(owner);
                    users[owner as usize] += 1;
                }
            }
            direct.push(needs);
        }
        let places = places(&direct, users).map_err(|circle| {
            let name = |at: &usize| String::from_utf8_lossy(&modules[*at].name).into_owned();
            let circle = circle.iter().map(name).collect();
            Odd { circle, ..odd("modules need each other in a circle") }
        })?;
        let needed = (0..modules.len()).map(|at| closure(&direct, &places, &mut seen, at)).collect();
        Ok(Self { owners, needed })
    }
}

/// A number for each module, lower than those of all modules that it needs; or modules that need each other in a
/// circle, the first one at both ends.
fn places(direct: &[Vec<u32>], mut users: Vec<u32>) -> Result<Vec<u32>, Vec<usize>> {
    let mut ready: Vec<u32> = (0..direct.len() as u32).filter(|at| users[*at as usize] == 0).collect();
    let mut places = vec![u32::MAX; direct.len()];
    let mut next = 0;
    while let Some(module) = ready.pop() {
        places[module as usize] = next;
        next += 1;
        for &needed in &direct[module as usize] {
            users[needed as usize] -= 1;
            if users[needed as usize] == 0 {
                ready.push(needed);
            }
        }
    }
    if next as usize == direct.len() { Ok(places) } else { Err(circle(direct, &places)) }
}

/// A circle among modules that got no place. Each of them is needed by another one of them: from user to user, one
/// comes back.
fn circle(direct: &[Vec<u32>], places: &[u32]) -> Vec<usize> {
    let left = |at: &usize| places[*at] == u32::MAX;
    let user = |of: usize| (0..direct.len()).filter(left).find(|at| direct[*at].contains(&(of as u32)));
    let mut way: Vec<usize> = (0..direct.len()).find(left).into_iter().collect();
    while let Some(next) = way.last().and_then(|last| user(*last)) {
        let seen = way.iter().position(|at| *at == next);
        way.push(next);
        if let Some(seen) = seen {
            way.drain(..seen);
            way.reverse();
            break;
        }
    }
    way
}

/// All that a module needs. `seen` is for its use only.
fn closure(direct: &[Vec<u32>], places: &[u32], seen: &mut [u32], at: usize) -> Vec<u32> {
    // No number that the caller or another module of this round has left there.
    let mark = (direct.len() + at) as u32;
    let mut found: Vec<u32> = Vec::new();
    let mut begin = 0;
    let mut look = |needs: &[u32], found: &mut Vec<u32>| {
        for &needed in needs {
            if std::mem::replace(&mut seen[needed as usize], mark) != mark {
                found.push(needed);
            }
        }
    };
    look(&direct[at], &mut found);
    while begin < found.len() {
        let needed = found[begin] as usize;
        look(&direct[needed], &mut found);
        begin += 1;
    }
    found.sort_unstable_by_key(|needed| places[*needed as usize]);
    found
}
