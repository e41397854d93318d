//! One of several that share the points: in namespaces of its own, with a machine of its own.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use nix::mount::{MsFlags, mount};

use super::commands::{ROWS, Row, Way};
use super::machine::Machine;
use super::points::{self, KINDS, Kind, Outcome, Point, Undisturbed};
use super::tracer::Whose;

/// Of how many points of a kind one is struck in a sample.
const STRIDE: usize = 29;

/// What the command line asks for.
#[derive(Default)]
pub struct Wanted {
    pub list: bool,
    stride: Option<usize>,
    parts: Vec<String>,
    kind: Option<String>,
    at: Option<usize>,
    way: Option<String>,
    jobs: Option<usize>,
}

impl Wanted {
    pub fn from_arguments() -> Self {
        let mut wanted = Self::default();
        if std::env::var_os("SWEEP").is_some_and(|text| text == "every") {
            wanted.stride = Some(1);
        }
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse().ok());
            match word.as_str() {
                "--list" => wanted.list = true,
                "--every" => wanted.stride = Some(1),
                "--stride" => wanted.stride = number(),
                "--at" => wanted.at = number(),
                "--test-threads" => wanted.jobs = number(),
                "--kind" => wanted.kind = words.next(),
                "--way" => wanted.way = words.next(),
                word if word.starts_with('-') => {}
                word => wanted.parts.push(word.to_owned()),
            }
        }
        wanted
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        if self.at.is_some() {
            return 1;
        }
        self.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
    }

    /// The commands that are struck.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> {
        let all =
            |name: &str| self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part.as_str()));
        // Debian's dkms has but one face.
        let of_both = |row: &&Row| super::machine::is_other().is_none() || row.is_dkms();
        ROWS.iter().filter(move |row| all(row.name)).filter(of_both)
    }

    /// The points of a command. Which ways on are tried at which points of a sample differs from kind to kind.
    fn points(&self, row: &Row, expected: &Undisturbed) -> Vec<Point> {
        let stride = self.stride.unwrap_or(STRIDE);
        let mut points = Vec::new();
        for (number, kind) in KINDS.iter().enumerate().filter(|(_, kind)| self.is_kind(kind)) {
            let calls = expected.calls[usize::from(kind.whose == Whose::Children)];
            for at in 1..=calls {
                if let Some(only) = self.at {
                    if only == at {
                        points.extend(row.ways.iter().filter(|way| self.is_way(**way)).map(|way| Point {
                            kind,
                            at,
                            way: *way,
                        }));
                    }
                } else if stride == 1 && number == 0 {
                    points.extend(row.ways.iter().map(|way| Point { kind, at, way: *way }));
                } else if (at + 7 * number) % stride == 0 {
                    points.push(Point { kind, at, way: row.ways[(at / stride + number) % row.ways.len()] });
                }
            }
        }
        points
    }

    fn is_kind(&self, kind: &Kind) -> bool {
        self.kind.as_ref().is_none_or(|name| name == kind.name)
    }

    fn is_way(&self, way: Way) -> bool {
        self.way.as_ref().is_none_or(|name| *name == format!("{way:?}"))
    }
}

/// Strikes every `count`th point, and tells each: `point COMMAND KIND struck|passed drifted|same`, and what is wrong.
pub fn work(wanted: &Wanted, number: usize, count: usize) {
    let place = std::env::temp_dir();
    // In memory: what is synced a thousand times costs nothing, and what is left goes with the namespace.
    mount(Some("sweep"), &place, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let machine = Machine::new(&place);
    std::fs::set_permissions(machine.root.path("/"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut out = std::io::stdout().lock();
    for row in wanted.rows() {
        let expected = points::undisturbed(&machine, row);
        let points = wanted.points(row, &expected);
        if number == 0 {
            writeln!(out, "calls\t{}\t{}\t{}", row.name, expected.calls[0], expected.calls[1]).unwrap();
        }
        for point in points.into_iter().skip(number).step_by(count) {
            let outcome = points::strike(&machine, row, &expected, point);
            if wanted.at.is_some() {
                eprintln!("{} at {}: {}\n{}", point.kind.name, point.at, outcome.call, outcome.said);
            }
            tell(&mut out, row, point, &outcome);
        }
    }
}

fn tell(out: &mut impl Write, row: &Row, point: Point, outcome: &Outcome) {
    let struck = if outcome.reached { "struck" } else { "passed" };
    let same = if outcome.drifted { "drifted" } else { "same" };
    writeln!(out, "point\t{}\t{}\t{struck}\t{same}\t{}", row.name, point.kind.name, outcome.faults.len())
        .unwrap();
    if !outcome.faults.is_empty() {
        let Point { kind, at, way } = point;
        writeln!(out, "bad\t{}\t{} at {at} ({}), then {way:?}:", row.name, kind.name, outcome.call).unwrap();
        for fault in &outcome.faults {
            writeln!(out, "bad\t{}\t    {}", row.name, fault.replace('\n', " / ")).unwrap();
        }
    }
}
