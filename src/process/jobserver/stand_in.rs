//! Programs that stand for make and ninja in a build, so that each takes its jobs from the server, however it
//! is called.
//!
//! A make that is given a number of jobs leaves its server, says so in a warning, and takes as many as that:
//! `make -j$(nproc)` in a dkms.conf, a script or a Makefile would have the machine do twice as much as it can. And
//! a make of 4.3 hands its server to no recipe that says `make` and not `$(MAKE)`, as many a Makefile does.

use std::path::{Path, PathBuf};

use super::{Auth, ONE_JOB, Server};
use crate::process::find_program;

/// A program of a few lines that stands for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// By which name it has to be found.
    pub name: &'static str,
    /// What it stands for.
    pub real: PathBuf,
    /// Its text, for a shell.
    pub text: String,
}

impl Server {
    /// The programs that have to be found first by a build whose makes take part. None where they do not.
    pub fn stand_ins(&self) -> Vec<StandIn> {
        let found = ["make", "gmake", "ninja", "ninja-build"].map(|name| (name, find_program(name)));
        let found = found.into_iter().filter_map(|(name, real)| Some((name, real?)));
        found.filter_map(|(name, real)| self.stand_in(name, real)).collect()
    }

    fn stand_in(&self, name: &'static str, real: PathBuf) -> Option<StandIn> {
        let tokens = self.0.tokens.as_ref()?;
        // In a shell, between quotes.
        let plain = real.to_str().filter(|text| !text.contains('\''))?;
        let text = if name.starts_with("ninja") { include_str!("ninja.sh") } else { include_str!("make.sh") };
        let (open, auth) = match &tokens.auth {
            Auth::Fifo(path) => (":", Auth::Fifo(path.clone())),
            // Of the numbers that every shell can open, those that scripts use least. For both, so that this
            // waits for nobody at the other end.
            Auth::Descriptors(..) => ("exec 8<>\"$pipe\"", Auth::Descriptors(8, 8)),
        };
        let text = text
            .replace("@REAL@", plain)
            .replace("@PIPE@", &tokens.pool.path.display().to_string())
            .replace("@ONE_JOB@", ONE_JOB)
            .replace("@OPEN@", open)
            .replace("@FLAGS@", &super::flags::of_server(self.limit(), &auth))
            .replace("@LIMIT@", &self.limit().to_string());
        Some(StandIn { name, real, text })
    }
}

/// The text of a command with each word that is the path of one of these programs replaced by the program's name:
/// a path would pass by what stands for it.
pub fn by_name(command: &str, programs: &[StandIn]) -> String {
    let ends = |c: char| c.is_whitespace() || ";&|()\"'`".contains(c);
    let mut text = String::with_capacity(command.len());
    for piece in command.split_inclusive(ends) {
        let word = piece.trim_end_matches(ends);
        let rest = &piece[word.len()..];
        let known = programs.iter().find(|program| stands_for(program, word));
        text.push_str(known.map_or(word, |program| program.name));
        text.push_str(rest);
    }
    text
}

fn stands_for(program: &StandIn, word: &str) -> bool {
    let path = Path::new(word);
    path.is_absolute()
        && path.file_name().is_some_and(|name| name == program.name)
        && same_file(path, &program.real)
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || std::fs::canonicalize(one).is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|o| o == one))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::{FLAGS, Style};
    use super::*;
    use crate::process::Process;

    /// A server, and a program that stands for one which prints what it gets.
    struct Stage {
        dir: tempfile::TempDir,
        server: Server,
    }

    impl Stage {
        fn new(style: Style, name: &'static str, real: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::with(4, style, dir.path(), None);
            let path = dir.path().join("real");
            write(&path, real);
            let stand_in = server.stand_in(name, path).unwrap();
            write(&dir.path().join(name), &stand_in.text);
            Self { dir, server }
        }

        fn print(style: Style, name: &'static str) -> Self {
            let text = "#!/bin/sh\necho \"[$MAKEFLAGS]\"\nfor word; do echo \"$word\"; done\n";
            Self::new(style, name, text)
        }

        fn run(&self, process: Process) -> Vec<String> {
            let got = process.capture().unwrap();
            assert_eq!(String::from_utf8_lossy(&got.stderr), "");
            String::from_utf8(got.stdout).unwrap().lines().map(str::to_owned).collect()
        }

        fn call(&self, name: &str, words: &[&str]) -> Vec<String> {
            self.run(self.server.attach(Process::new(self.dir.path().join(name)).args(words)))
        }
    }

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_number_of_jobs_is_left_out_however_it_is_written() {
        let stage = Stage::print(Style::Fifo, "make");
        let rows: [(&[&str], &[&str]); 19] = [
            (&["-j4", "all"], &["all"]),
            (&["all", "-j"], &["all"]),
            (&["-j", "4", "all"], &["all"]),
            (&["-j", "all", "4"], &["all", "4"]),
            (&["--jobs=8"], &[]),
            (&["--jobs", "8", "V=1"], &["V=1"]),
            (&["--jobs", "all"], &["all"]),
            (&["-kj4"], &["-k"]),
            (&["-kj", "4", "-B"], &["-k", "-B"]),
            (&["-kjs"], &["-kjs"]),
            (&["-C", "-j4", "-f", "-j", "-j3"], &["-C", "-j4", "-f", "-j"]),
            (&["-C/a/jobs-j4", "-Ij2", "-kC", "-j4"], &["-C/a/jobs-j4", "-Ij2", "-kC", "-j4"]),
            (&["-C/x/W", "-j4"], &["-C/x/W"]),
            (&["--directory", "-j4", "--file=-j4"], &["--directory", "-j4", "--file=-j4"]),
            (&["-l", "4", "-Oline", "-l2", "-j2"], &["-l", "4", "-Oline", "-l2"]),
            (&["--", "-j4"], &["--", "-j4"]),
            (&["X=a b", "", "*", "-j4", "$y"], &["X=a b", "", "*", "$y"]),
            (&["--job=4", "--debug", "-j5"], &["--job=4", "--debug"]),
            (&["-", "-j7"], &["-"]),
        ];
        let attached = stage.call("make", &[])[0].clone();
        assert!(attached.starts_with("[ -j4 --jobserver-auth=fifo:/"), "{attached}");
        for (words, expected) in rows {
            let got = stage.call("make", words);
            assert_eq!(got[0], attached, "{words:?}");
            assert_eq!(got[1..], *expected, "{words:?}");
        }
    }

    #[test]
    fn who_asks_for_one_job_gets_one() {
        let stage = Stage::print(Style::Fifo, "make");
        for words in [&["-j1", "all"][..], &["-j", "1", "all"], &["--jobs=1", "all"]] {
            assert_eq!(stage.call("make", words), ["[ -j1]", "all"], "{words:?}");
        }
        // And so do those that it starts.
        let make = stage.dir.path().join("make");
        let text = format!(
            "#!/bin/sh\n[ -n \"$1\" ] && exec '{}' -j8\necho \"[$MAKEFLAGS]\" $MAKE\n",
            make.display()
        );
        write(&stage.dir.path().join("real"), &text);
        assert_eq!(stage.call("make", &["-j1", "all"]), ["[ -j1] make"]);
    }

    #[test]
    fn a_server_that_was_lost_on_the_way_is_found_again() {
        let stage = Stage::print(Style::Fifo, "make");
        let attached = stage.call("make", &[])[0].clone();
        let lost = |flags: &str| {
            let process = stage.server.attach(Process::new(stage.dir.path().join("make")));
            stage.run(process.env(FLAGS, flags))[0].clone()
        };
        assert_eq!(lost(""), attached);
        assert_eq!(lost("-j16"), attached);
        let server = attached.trim_matches(['[', ']']);
        assert_eq!(lost("k -j16 -- V=1 W=a\\ b"), format!("[k{server} -- V=1 W=a\\ b]"));
        // Another make's server is its own affair.
        assert_eq!(lost(" -j3 --jobserver-auth=fifo:/x"), "[ -j3 --jobserver-auth=fifo:/x]");
    }

    #[test]
    fn a_make_of_old_style_finds_closed_descriptors_again() {
        let text = "#!/bin/sh\necho \"[$MAKEFLAGS]\"\nhead -c 1 <&\"${1:-8}\"\n";
        let stage = Stage::new(Style::Pipe, "make", text);
        let Auth::Descriptors(read, write) = stage.server.0.tokens.as_ref().unwrap().auth else { panic!() };
        let inherited = stage.call("make", &[&read.to_string()]);
        assert_eq!(inherited, [format!("[ -j4 --jobserver-auth={read},{write}]"), "+".to_owned()]);
        let make = stage.dir.path().join("make");
        let flags = format!(" -j4 --jobserver-auth={read},{write}");
        let closed = stage.run(Process::new(&make).env(FLAGS, flags));
        assert_eq!(closed, ["[ -j4 --jobserver-auth=8,8]", "+"]);
        let none = stage.run(Process::new(&make).env(FLAGS, "k"));
        assert_eq!(none, ["[k -j4 --jobserver-auth=8,8]", "+"]);
        // The server has gone with the run that made it.
        let Stage { dir, server } = stage;
        drop(server);
        let got = Process::new(&make).env(FLAGS, "k").capture().unwrap();
        assert!(got.stdout.starts_with(b"[k]\n"), "{got:?}");
        drop(dir);
    }

    #[test]
    fn ninja_takes_part_if_it_can_and_is_bound_if_not() {
        for (version, ours) in
            [("1.13.2", None), ("2.0", None), ("1.12.1", Some("-j4")), ("1.9", Some("-j4"))]
        {
            let text = format!(
                "#!/bin/sh\n[ \"$1\" != --version ] || exec echo {version}\nfor word; do echo \"$word\"; done\n"
            );
            let stage = Stage::new(Style::Fifo, "ninja", &text);
            for (words, expected) in [
                (&["-j16", "-C", "-j4", "all"][..], &["-C", "-j4", "all"][..]),
                (&["-vj", "3", "-k0"], &["-v", "-k0"]),
                (&["-t", "clean", "-j5"], &["-t", "clean", "-j5"]),
            ] {
                let expected: Vec<&str> = ours.into_iter().chain(expected.iter().copied()).collect();
                assert_eq!(stage.call("ninja", words), expected, "{version} {words:?}");
            }
            assert_eq!(stage.call("ninja", &["-j1"]), ["-j1"]);
        }
    }

    #[test]
    fn a_path_of_make_in_a_command_becomes_its_name() {
        let stage = Stage::print(Style::Fifo, "make");
        let real = stage.dir.path().join("make");
        let programs = [StandIn { name: "make", real: real.clone(), text: String::new() }];
        let path = real.display();
        for (command, expected) in [
            (format!("{path} -j8 all"), "make -j8 all"),
            (format!("cd x&&{path};\"{path}\" -C y"), "cd x&&make;\"make\" -C y"),
            (format!("make MAKE={path} {path}/x"), &format!("make MAKE={path} {path}/x")),
            ("/nonexistent/make ./make make".to_owned(), "/nonexistent/make ./make make"),
        ] {
            assert_eq!(by_name(&command, &programs), expected);
        }
    }
}
