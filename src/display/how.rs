//! In which way progress is shown.

use std::io::IsTerminal;

/// What the caller knows.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Nothing but warnings.
    pub quiet: bool,
    /// What make prints is shown as well.
    pub verbose: bool,
    /// Scripts compare what is printed: without a terminal, nothing may be added to it.
    pub exact: bool,
    /// Whether a person waits at the terminal, if there is one, and not a package manager that keeps what we print
    /// in a log. Asked when a task begins.
    pub person: fn() -> bool,
}

/// A way of showing progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The words of the commands, and nothing else.
    Plain,
    /// Also lines for who reads a log, or a terminal that can only print.
    Log,
    /// Also lines that move, on a terminal.
    Moving,
}

impl How {
    /// The way that suits where standard output leads.
    pub fn here(wish: &Wish) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self::of(wish, terminal, terminal && !console::is_dumb())
    }

    /// `able`: the terminal can move its cursor (TERM is set, and not `dumb`).
    fn of(wish: &Wish, terminal: bool, able: bool) -> Self {
        match () {
            () if wish.quiet || wish.exact && !terminal => Self::Plain,
            () if able && (wish.person)() => Self::Moving,
            () => Self::Log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_move_only_where_a_person_looks_at_a_terminal() {
        let quiet = |quiet, exact, person: fn() -> bool| Wish { quiet, verbose: false, exact, person };
        let rows = [
            // dkms-hook: a pipe, a terminal, one that is dumb; in a package manager's hook.
            (quiet(false, false, || true), [How::Log, How::Moving, How::Log]),
            (quiet(false, false, || false), [How::Log, How::Log, How::Log]),
            // dkms.
            (quiet(false, true, || true), [How::Plain, How::Moving, How::Log]),
            (quiet(false, true, || false), [How::Plain, How::Log, How::Log]),
            (quiet(true, true, || true), [How::Plain, How::Plain, How::Plain]),
        ];
        for (wish, ways) in rows {
            let found = [(false, false), (true, true), (true, false)];
            assert_eq!(found.map(|(terminal, able)| How::of(&wish, terminal, able)), ways, "{wish:?}");
        }
    }
}
