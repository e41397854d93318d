//! The index of a kernel's modules as we compute it, compared with the one that depmod(8) left there: each file, byte
//! for byte. tests/corpus/depmod/run makes the trees and runs depmod; README.md says what is compared.
//!
//! `depmod-index DIR VERSION KNOWN [CONFIGURATION…]`: the kernel's directory, a file with what `depmod --version`
//! printed, the file that keeps what modules say (`-` for none), and the directories of depmod.d. Ends with 0 where
//! all are the same, 1 where one differs, 3 where we leave it to depmod.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dkms_hook::depmod::{self, Config, Kmod, Place};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).filter(|word| word != "--bench");
    let arguments: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let [dir, version, known, configuration @ ..] = arguments.as_slice() else {
        println!("nothing to compare: tests/corpus/depmod/run says what");
        return ExitCode::SUCCESS;
    };
    let release = dir.file_name().and_then(|name| name.to_str()).expect("the directory of a kernel");
    let text = std::fs::read_to_string(version).expect("a file with the version of depmod");
    let Some(kmod) = Kmod::of(&text) else {
        println!("odd: {text}");
        return ExitCode::from(3);
    };
    let begun = Instant::now();
    let known = (known != Path::new("-")).then(|| known.clone());
    let done = Config::read(configuration, release)
        .and_then(|config| depmod::compute(&Place { dir: dir.clone(), config, kmod, known }));
    match done {
        Ok((files, effort)) => {
            let computed = begun.elapsed();
            let copy = tempfile::tempdir_in(dir.parent().expect("it lies somewhere")).expect("a directory");
            depmod::write(copy.path(), &files).expect("the index can be written");
            println!(
                "{} modules, {} read: computed after {computed:.1?}, written after {:.1?}; {:.1?} of processor time, \
                 at most {} KiB",
                effort.modules,
                effort.read,
                begun.elapsed(),
                processor_time(),
                getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss())
            );
            compare(dir, &files)
        }
        Err(odd) => {
            println!("odd: {odd}");
            ExitCode::from(3)
        }
    }
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process has resources");
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(microseconds.unsigned_abs())
}

fn compare(dir: &Path, files: &[(&str, Vec<u8>)]) -> ExitCode {
    let mut same = 0;
    for (name, ours) in files {
        match std::fs::read(dir.join(name)) {
            Ok(theirs) if theirs == *ours => same += 1,
            Ok(theirs) => {
                let at = theirs.iter().zip(ours).take_while(|(a, b)| a == b).count();
                println!(
                    "{name}: {} bytes of depmod, {} of ours, equal up to byte {at}",
                    theirs.len(),
                    ours.len()
                );
                for (whose, bytes) in [("depmod", &theirs), ("ours", ours)] {
                    let around = &bytes[at.saturating_sub(80).min(bytes.len())..(at + 80).min(bytes.len())];
                    println!("  {whose}: {:?}", String::from_utf8_lossy(around));
                }
            }
            Err(error) => println!("{name}: depmod wrote none ({error})"),
        }
    }
    println!("{same} of {} files are the same", files.len());
    if same == files.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
