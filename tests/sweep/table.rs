//! What the workers told, added up.

use std::collections::BTreeMap;
use std::fmt;

use super::commands::ROWS;
use super::points::KINDS;

/// Of each command.
#[derive(Default)]
pub struct Table(BTreeMap<String, Line>);

#[derive(Default)]
struct Line {
    calls: [usize; 2],
    /// Struck, and bad, of each kind.
    kinds: BTreeMap<String, (usize, usize)>,
    drifted: usize,
    passed: usize,
}

impl Table {
    /// A line of a worker.
    pub fn take(&mut self, line: &str) {
        let parts: Vec<&str> = line.split('\t').collect();
        let number = |text: &str| text.parse().unwrap_or(0);
        match parts.as_slice() {
            ["calls", row, own, children] => {
                self.0.entry((*row).to_owned()).or_default().calls = [number(own), number(children)];
            }
            ["point", row, kind, struck, same, faults] => {
                let line = self.0.entry((*row).to_owned()).or_default();
                if *struck == "passed" {
                    line.passed += 1;
                    return;
                }
                line.drifted += usize::from(*same == "drifted");
                let kind = line.kinds.entry((*kind).to_owned()).or_default();
                kind.0 += 1;
                kind.1 += usize::from(*faults != "0");
            }
            ["bad", row, text] => println!("{row}: {text}"),
            _ => println!("{line}"),
        }
    }

    fn points(&self) -> (usize, usize) {
        let kinds = self.0.values().flat_map(|line| line.kinds.values());
        kinds.fold((0, 0), |(points, bad), kind| (points + kind.0, bad + kind.1))
    }

    /// No bad end, and something was struck.
    pub fn is_good(&self) -> bool {
        let (points, bad) = self.points();
        points > 0 && bad == 0
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads: Vec<String> = KINDS.iter().map(|kind| format!("{:>13}", kind.name)).collect();
        writeln!(f, "\n{:<23}{:>7}{:>10}{}", "command", "calls", "children's", heads.join(""))?;
        for (name, line) in ROWS.iter().filter_map(|row| Some((row.name, self.0.get(row.name)?))) {
            write!(f, "{name:<23}{:>7}{:>10}", line.calls[0], line.calls[1])?;
            for kind in &KINDS {
                let (points, bad) = line.kinds.get(kind.name).copied().unwrap_or_default();
                let text = if bad == 0 { points.to_string() } else { format!("{points} ({bad} bad)") };
                write!(f, "{text:>13}")?;
            }
            writeln!(f)?;
        }
        let (points, bad) = self.points();
        let drifted: usize = self.0.values().map(|line| line.drifted).sum();
        let passed: usize = self.0.values().map(|line| line.passed).sum();
        writeln!(
            f,
            "\n{points} points struck, {bad} bad ends; {drifted} struck another call than was counted, {passed} not reached"
        )?;
        writeln!(f, "\n{} passed, {bad} failed, 0 skipped", points - bad)
    }
}
