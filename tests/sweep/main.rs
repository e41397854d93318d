//! The crash sweep: each command of the program is struck just before each of its calls that change a file, and
//! before those of the programs that it starts. It is killed there, or the call fails with ENOSPC or EIO, or all
//! calls from there on fail. Then somebody goes on, and the machine has to end as if nothing had happened.
//!
//! Arguments: parts of commands' names; `--every` strikes at every point instead of a sample (also with SWEEP=every);
//! `--stride N` at every Nth; `--list`; `--kind KIND`, `--at N` and `--way Hook|Again|AgainOnly` strike one point and
//! show what was said. Needs namespaces of its own; where there are none, all is counted as skipped.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod commands;
mod ends;
mod machine;
mod points;
mod processes;
mod table;
mod tracer;
mod worker;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};

use table::Table;
use worker::Wanted;

/// Tells the program that it is an inner one: `NUMBER/OF HOW-MANY`.
const WORKER: &str = "SWEEP_WORKER";

fn main() -> ExitCode {
    let wanted = Wanted::from_arguments();
    if let Ok(text) = std::env::var(WORKER) {
        let (number, count) = text.split_once('/').expect("NUMBER/COUNT");
        worker::work(&wanted, number.parse().unwrap(), count.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    if wanted.list {
        wanted.rows().for_each(|row| println!("{}: test", row.name));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = obstacle() {
        println!("the crash sweep ... skipped: {why}\n\n0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    }
    let count = wanted.workers();
    let places: Vec<_> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
    let workers: Vec<Child> = places
        .iter()
        .enumerate()
        .map(|(number, place)| {
            let mut command = isolated();
            command.arg(std::env::current_exe().unwrap()).args(std::env::args().skip(1));
            command.env(WORKER, format!("{number}/{count}")).env("TMPDIR", place.path());
            command.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let table = std::sync::Mutex::new(Table::default());
    let ended = std::thread::scope(|scope| {
        let follow = |mut worker: Child| {
            let table = &table;
            scope.spawn(move || {
                for line in BufReader::new(worker.stdout.take().unwrap()).lines().map_while(Result::ok) {
                    table.lock().unwrap().take(&line);
                }
                worker.wait().is_ok_and(|status| status.success())
            })
        };
        let threads: Vec<_> = workers.into_iter().map(follow).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect::<Vec<_>>()
    });
    let table = table.into_inner().unwrap();
    let whole = ended.iter().all(|ended| *ended);
    if !whole {
        println!("a worker ended before its time");
    }
    print!("{table}");
    if whole && table.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A command in mount and process namespaces of its own; all of it goes away with the command.
fn isolated() -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command
}

/// Why nothing can be struck here.
fn obstacle() -> Option<String> {
    if !calls::CAN_STRIKE {
        return Some("on this kind of machine nobody has tried".into());
    }
    match isolated().args(["sh", "-c", support::whole_system::PROBE]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}
