//! What a build log says about why the build failed.

use std::path::Path;

use super::{disk, memory};

/// How many lines a summary shows.
const SHOWN: usize = 6;

/// Characters of a line that a summary shows.
const WIDTH: usize = 240;

/// The findings in the last command of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The first errors, without the build directory's path.
    pub errors: Vec<String>,
    /// When the machine and not the source is at fault: what to do about it.
    pub trouble: Option<String>,
    /// When that is a lack of memory.
    pub out_of_memory: bool,
}

/// Reads a log. One that cannot be read gives no findings. `kernel_killed`: whether the kernel has killed something
/// for want of memory since, if that is known.
pub fn diagnose(log: &Path, build_dir: &Path, status: i32, kernel_killed: Option<bool>) -> Diagnosis {
    let text = read(log);
    let mut found = findings(&text, &build_dir.to_string_lossy());
    found.out_of_memory = memory::was_short(status, last_command(&text), kernel_killed);
    if found.out_of_memory {
        found.trouble = Some(memory::ADVICE.to_owned());
    }
    if found.trouble.is_none() && matches!(status, 126 | 127) {
        found.trouble = Some("the build cannot start a program; see the log".to_owned());
    }
    if found.trouble.is_none() && (is_of_a_signal(status) || last_command(&text).lines().any(was_killed)) {
        found.trouble = Some(KILLED.to_owned());
    }
    found
}

/// What to do about something that somebody ended.
const KILLED: &str = "a signal ended a program of the build (somebody, or a limit of the system): try again";

/// What to do about a disk that fails.
const BROKEN_DISK: &str = "the disk reports an error: look for it in the kernel's log (`dmesg`)";

/// Whether an exit status says that a signal ended the program: 128 + its number. (255 is what scripts and perl end
/// with when they do not know better.)
fn is_of_a_signal(status: i32) -> bool {
    (129..=128 + 64).contains(&status)
}

/// Whether make or a shell says in a line that a signal ended something that does not end itself so.
fn was_killed(line: &str) -> bool {
    const MAKE: [&str; 7] = [
        "] Killed",
        "] Terminated",
        "] Hangup",
        "Error 137",
        "Error 143",
        "Error 129",
        "] File size limit exceeded",
    ];
    // `bash: line 1: 4711 Killed                  cc x.c`
    let by_shell = |sign: &&str| {
        let number =
            |before: &str| before.ends_with(|c: char| c.is_ascii_digit()) && before.contains(": line ");
        line.split_once(sign).is_some_and(|(before, _)| number(before.trim_end()))
    };
    let line = line.trim_end();
    MAKE.iter().any(|sign| line.ends_with(sign)) || [" Killed", " Terminated"].iter().any(by_shell)
}

/// Whether the machine and not what was worked on is at fault, by what a program said of it and how it ended.
pub fn is_of_the_machine(said: &str) -> bool {
    let status = |line: &str| {
        let (_, rest) = line.split_once("exit status ")?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    said.lines().any(|line| {
        machine_at_fault(line).is_some() || was_killed(line) || status(line).is_some_and(is_of_a_signal)
    })
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&disk::end_of(log, disk::LARGE_LOG)).into_owned()
}

/// Whether the last command of a log looked for a file in vain.
pub fn lacks_a_file(log: &Path) -> bool {
    last_command(&read(log)).contains("No such file or directory")
}

/// Whether the last command of a log lacked a file, or did not know how to make one.
pub fn misses_something(log: &Path) -> bool {
    const SIGNS: [&str; 3] = ["No such file or directory", "No rule to make target", "cannot find "];
    let text = read(log);
    SIGNS.iter().any(|sign| last_command(&text).contains(sign))
}

fn last_command(text: &str) -> &str {
    text.rsplit_once("\n# command: ").map_or(text, |(_, block)| block)
}

fn findings(text: &str, build_dir: &str) -> Diagnosis {
    let block = last_command(text);
    // The first line is the command itself.
    let lines = || block.lines().skip(1).map(str::trim_end).filter(|line| !line.trim().is_empty());
    let mut errors: Vec<&str> = Vec::new();
    for line in lines().filter(|line| is_error(line)) {
        if !errors.contains(&line) {
            errors.push(line);
        }
    }
    let machine = lines().find_map(machine_at_fault);
    // A command that was not found may have been optional when the compiler found real errors.
    let missing = lines().find_map(missing_command).filter(|_| errors.is_empty());
    if errors.is_empty() {
        errors = lines().filter(|line| line.contains("*** ") || missing_command(line).is_some()).collect();
    }
    if errors.is_empty() {
        let output: Vec<&str> = lines().filter(|line| !is_footer(line)).collect();
        errors = output[output.len().saturating_sub(3)..].to_vec();
    }
    let prefix = format!("{}/", build_dir.trim_end_matches('/'));
    let errors = errors.into_iter().take(SHOWN).map(|line| shorten(&line.replace(&prefix, ""))).collect();
    Diagnosis { errors, trouble: machine.map(str::to_owned).or(missing), out_of_memory: false }
}

/// The ways in which compilers, linkers, modpost, patch and configure scripts begin an error.
fn is_error(line: &str) -> bool {
    const INSIDE: [&str; 6] = [
        ": error: ",
        ": fatal error: ",
        ": internal compiler error",
        "undefined reference to",
        "ERROR: modpost:",
        "Hunk #",
    ];
    if line.starts_with("Hunk #") {
        return line.contains("FAILED");
    }
    let line = line.trim_start();
    INSIDE.iter().any(|text| line.contains(text)) || line.starts_with("error: ")
}

fn machine_at_fault(line: &str) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 12] = [
        ("No space left on device", disk::ADVICE),
        ("Disk quota exceeded", disk::ADVICE),
        ("Input/output error", BROKEN_DISK),
        // As dash has it.
        ("I/O error", BROKEN_DISK),
        ("File too large", "raise the limit of file sizes (`ulimit -f`) of whoever starts the build"),
        ("Read-only file system", "remount the file system of the module tree read-write"),
        ("error while loading shared libraries", "reinstall the package of the program that cannot load it"),
        ("cannot execute ", "reinstall the compiler"),
        ("Exec format error", "install a compiler for this machine's architecture"),
        ("Killed signal terminated program", memory::ADVICE),
        ("Cannot allocate memory", memory::ADVICE),
        ("virtual memory exhausted", memory::ADVICE),
    ];
    let known = SIGNS.iter().find(|(sign, _)| line.contains(sign)).map(|(_, advice)| *advice);
    known.or_else(|| cannot_write_its_output(line).then_some(LOST_OUTPUT))
}

/// What to do where make's own words did not arrive.
const LOST_OUTPUT: &str =
    "make could not write its output to the log: look whether the disk is full or fails (`dmesg`)";

/// Whether make says at its end that some of its output was lost, for which it gives no reason: `make: write error:
/// stdout`. (Others end so when whoever read their output has gone.)
fn cannot_write_its_output(line: &str) -> bool {
    let program = line.split_once(": write error").map(|(program, _)| program);
    program.is_some_and(|program| program == "make" || program.starts_with("make["))
}

/// `bash: line 1: x: command not found`, `/bin/sh: 1: x: not found`, `make[1]: x: No such file or
/// directory`: which package has x is for the person to find.
fn missing_command(line: &str) -> Option<String> {
    let rest = line
        .strip_suffix(": command not found")
        .or_else(|| line.strip_suffix(": not found").filter(|l| l.contains("sh: ")))
        .or_else(|| {
            let rest = line.strip_suffix(": No such file or directory")?;
            (rest.starts_with("make") && !rest.contains("*** ")).then_some(rest)
        })?;
    let name = rest.rsplit(": ").next()?.trim();
    (!name.is_empty()).then(|| format!("install {name}, which the build needs"))
}

fn is_footer(line: &str) -> bool {
    line.starts_with("# exit code: ")
        || line.starts_with("# elapsed time: ")
        || line.trim_matches('-').is_empty()
}

fn shorten(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "DKMS (x) make.log for m/v for kernel k (a)\nSat Nov 21\n\nApplying patch\n\
        # command: patch -p1\npatching: error: not this one\n\n# exit code: 0\n\nBuilding module(s)\n\
        # command: make -j2 KERNELRELEASE=k\n";

    #[test]
    fn the_first_compiler_errors_are_found() {
        let log = format!(
            "{HEAD}make: Entering directory '/usr/src/linux-headers-k'\n  CC [M]  /T/m/v/build/a.o\n\
             /T/m/v/build/a.c: In function 'probe':\n\
             /T/m/v/build/a.c:12:9: error: implicit declaration of function 'del_timer'\n\
             /T/m/v/build/a.c:12:9: error: implicit declaration of function 'del_timer'\n\
             cc1: some warnings being treated as errors\n\
             make[2]: *** [scripts/Makefile.build:243: /T/m/v/build/a.o] Error 1\n\n\
             # exit code: 2\n# elapsed time: 00:00:01\n---\n"
        );
        let found = findings(&log, "/T/m/v/build");
        assert_eq!(found.errors, ["a.c:12:9: error: implicit declaration of function 'del_timer'"]);
        assert_eq!(found.trouble, None);
    }

    #[test]
    fn without_compiler_errors_make_or_the_last_lines_speak() {
        let log = format!("{HEAD}make: *** No rule to make target 'modules'.  Stop.\n\n# exit code: 2\n");
        assert_eq!(findings(&log, "/b").errors, ["make: *** No rule to make target 'modules'.  Stop."]);
        let log =
            format!("{HEAD}checking\nthis kernel is not for me\n\n# exit code: 2\n# elapsed time: x\n--\n");
        assert_eq!(findings(&log, "/b").errors, ["checking", "this kernel is not for me"]);
    }

    #[test]
    fn a_broken_machine_is_no_verdict_about_the_source() {
        for (line, advice) in [
            ("make: write error: stdout", "could not write its output"),
            ("make[1]: write error", "could not write its output"),
            ("/T/x.c:1:1: fatal error: cannot write: No space left on device", "free some space"),
            ("gcc: error while loading shared libraries: libisl.so.23: cannot open", "reinstall"),
            (
                "gcc-14: fatal error: cannot execute 'cc1': posix_spawnp: No such file",
                "reinstall the compiler",
            ),
            ("/bin/sh: 1: gcc-14: not found", "install gcc-14"),
            ("bash: line 1: flex: command not found", "install flex"),
            ("make[1]: bc: No such file or directory", "install bc"),
            ("cp: error writing 'x': Input/output error", "the disk"),
        ] {
            let found = findings(&format!("{HEAD}{line}\n"), "/T");
            assert!(found.trouble.clone().is_some_and(|t| t.contains(advice)), "{line}: {found:?}");
        }
        for (line, status) in [
            ("", 137),
            ("", 143),
            ("", 153),
            ("make[2]: *** [Makefile:7: x.o] Killed", 2),
            ("make: *** [Makefile:7: x.o] Terminated", 2),
            ("make: *** [Makefile:7: x.o] Error 137", 2),
            ("bash: line 1:  4711 Killed                  cc x.c", 1),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let log = dir.path().join("make.log");
            std::fs::write(&log, format!("{HEAD}{line}\n")).unwrap();
            // The kernel has killed nothing for want of memory.
            let found = diagnose(&log, Path::new("/T"), status, Some(false));
            assert_eq!(
                (found.trouble.as_deref(), found.out_of_memory),
                (Some(KILLED), false),
                "{line} {status}"
            );
        }
        for (line, status) in [("x.c: error: `Killed` undeclared", 2), ("", 255), ("", 1), ("Error 1", 2)] {
            assert!(!was_killed(line) && !is_of_a_signal(status), "{line} {status}");
        }
        assert!(is_of_the_machine("sign-file failed with exit status 137: "));
        assert!(is_of_the_machine("sign-file failed with exit status 1: x.ko: Input/output error"));
        assert!(!is_of_the_machine("sign-file failed with exit status 1: no key"));
        let both = format!("{HEAD}bash: line 1: git: command not found\na.c:1:1: error: unknown type\n");
        assert_eq!(findings(&both, "/T").trouble, None);
    }
}
