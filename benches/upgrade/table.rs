//! Figures, for eyes and for machines.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::middle;
use crate::run::{Contender, Cost};
use crate::timing::{median, text};

/// What was measured so far.
pub struct Table {
    rounds: Option<usize>,
    parts: Vec<Value>,
}

impl Table {
    /// An empty one. `rounds`, where given, is how often everything runs.
    pub fn new(rounds: Option<usize>) -> Self {
        Self { rounds, parts: Vec::new() }
    }

    /// Runs all in turn, each round in another order; a row for each. Ratios are the medians of those of the rounds,
    /// to the first contender.
    pub fn compare(&mut self, part: &str, title: &str, contenders: &[Contender], rounds: usize) {
        let rounds = self.rounds.unwrap_or(rounds);
        println!("{title}: medians of {rounds} interleaved rounds");
        println!(
            "{:<32} {:>9} {:>9} {:>9} {:>14} {:>14}",
            "", "wall", "cpu", "own cpu", "wall to first", "cpu to first"
        );
        let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); contenders.len()];
        for round in 0..rounds {
            for turn in 0..contenders.len() {
                let which = (round + turn) % contenders.len();
                if round < contenders[which].at_most {
                    costs[which].push(contenders[which].run());
                }
            }
        }
        let mut rows = Vec::new();
        for (contender, own) in contenders.iter().zip(&costs) {
            let part = |part: fn(&Cost) -> Duration| middle(own.iter().map(part));
            let (wall, cpu, alone) = (part(|c| c.wall), part(|c| c.cpu), part(|c| c.own));
            let to_first = |part: fn(&Cost) -> Duration| {
                median(own.iter().zip(&costs[0]).map(|(a, b)| part(a).as_secs_f64() / part(b).as_secs_f64()))
            };
            let (wall_ratio, cpu_ratio) = (to_first(|c| c.wall), to_first(|c| c.cpu));
            println!(
                "{:<32} {:>9} {:>9} {:>9} {:>13.3}x {:>13.3}x",
                contender.name,
                text(wall),
                text(cpu),
                text(alone),
                wall_ratio,
                cpu_ratio
            );
            let seconds =
                |time: fn(&Cost) -> Duration| own.iter().map(|c| time(c).as_secs_f64()).collect::<Vec<_>>();
            rows.push(json!({
                "name": contender.name,
                "wall_s": seconds(|c| c.wall),
                "cpu_s": seconds(|c| c.cpu),
                "own_cpu_s": seconds(|c| c.own),
                "wall_to_first": wall_ratio,
                "cpu_to_first": cpu_ratio,
            }));
        }
        println!();
        self.parts.push(json!({ "part": part, "title": title, "rounds": rounds, "rows": rows }));
    }

    /// Writes everything to a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn save(&self, file: &Path) {
        let all = json!({ "machine": processor(), "parts": self.parts });
        let text = serde_json::to_string_pretty(&all).expect("it is plain data");
        std::fs::write(file, text + "\n").expect("the result can be written");
    }
}

/// What the figures were taken on.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map_or("", |m| m.1);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{count} × {model}, load {}", load.split(' ').next().unwrap_or("?"))
}
