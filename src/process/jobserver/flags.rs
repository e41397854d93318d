//! What a make reads in `MAKEFLAGS`: options of one letter each in its first word, then options, then, behind
//! `--`, variables. (GNU make manual, "Options/Recursion" and "Job Slots".)

use std::path::{Path, PathBuf};

/// Where a make finds its job server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Auth {
    /// A named pipe: make 4.4 and later.
    Fifo(PathBuf),
    /// Two descriptors that it inherits: one to read from, one to write to.
    Descriptors(i32, i32),
}

impl Auth {
    fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("fifo:") {
            return Some(Self::Fifo(path.into()));
        }
        let (read, write) = text.split_once(',')?;
        Some(Self::Descriptors(read.parse().ok()?, write.parse().ok()?))
    }

    /// As `--jobserver-auth=` takes it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Fifo(path) => format!("fifo:{}", path.display()),
            Self::Descriptors(read, write) => format!("{read},{write}"),
        }
    }
}

/// Options that name a job server: today's name, and that of make before 4.2.
const NAMES: [&str; 2] = ["--jobserver-auth=", "--jobserver-fds="];

/// The job server that these flags name, and the number of jobs beside it. The last one counts: a make of 4.4
/// takes its server back from a recipe that is none of its own kind by naming descriptors that do not exist.
pub(super) fn server_of(flags: &str) -> Option<(Auth, Option<usize>)> {
    let (options, _) = split(flags);
    let named = |word: &str| NAMES.iter().find_map(|name| word.strip_prefix(name)).map(str::to_owned);
    let auth = Auth::parse(&options.iter().rev().find_map(|word| named(word))?)?;
    let jobs = options.iter().rev().find_map(|word| word.strip_prefix("-j")?.parse().ok());
    Some((auth, jobs))
}

/// These flags with another job server, or with a number of jobs and none.
pub(super) fn with_jobs(flags: &str, jobs: usize, server: Option<&Auth>) -> String {
    let (options, variables) = split(flags);
    let mut words: Vec<String> = Vec::new();
    let mut options = options.into_iter().peekable();
    while let Some(word) = options.next() {
        let about_jobs = word.starts_with("-j") || word == "--jobs" || word.starts_with("--jobs=");
        if about_jobs {
            let number = |next: &&str| next.bytes().all(|byte| byte.is_ascii_digit());
            if word == "-j" || word == "--jobs" {
                options.next_if(number);
            }
        } else if !word.starts_with("--jobserver-") {
            words.push(word.to_owned());
        }
    }
    // A first word without a dash would be taken for options of one letter each.
    let mut text = words.join(" ");
    text.push(' ');
    text.push_str(&server.map_or_else(|| format!("-j{jobs}"), |server| of_server(jobs, server)));
    if let Some(variables) = variables {
        text.push_str(&format!(" -- {variables}"));
    }
    text
}

/// What a make is told of a server with so many jobs.
pub(super) fn of_server(jobs: usize, server: &Auth) -> String {
    format!("-j{jobs} {}{}", NAMES[0], server.text())
}

/// Options, and what is behind `--`.
fn split(flags: &str) -> (Vec<&str>, Option<&str>) {
    let (options, variables) = match flags.strip_prefix("-- ") {
        Some(variables) => ("", Some(variables)),
        None => flags.split_once(" -- ").map_or((flags, None), |(o, v)| (o, Some(v))),
    };
    (options.split_whitespace().collect(), variables)
}

/// Whether a path can be named in these flags as it is.
pub(super) fn can_name(path: &Path) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    path.to_str().is_some_and(|text| text.starts_with('/') && text.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_server_that_is_named_counts() {
        let fifo = Auth::Fifo("/tmp/GMfifo7".into());
        let rows = [
            ("", None),
            ("ks", None),
            (" -j4 --jobserver-auth=fifo:/tmp/GMfifo7", Some((fifo.clone(), Some(4)))),
            ("k -j --jobserver-auth=3,4 -- V=1", Some((Auth::Descriptors(3, 4), None))),
            ("-j2 --jobserver-fds=5,6", Some((Auth::Descriptors(5, 6), Some(2)))),
            ("-j3 --jobserver-auth=3,4 --jobserver-auth=-2,-2", Some((Auth::Descriptors(-2, -2), Some(3)))),
            (" -- X=--jobserver-auth=3,4", None),
            ("-- X=a --jobserver-auth=3,4", None),
            ("--jobserver-auth=sem", None),
        ];
        for (flags, expected) in rows {
            assert_eq!(server_of(flags), expected, "{flags}");
        }
    }

    #[test]
    fn other_flags_stay_as_they_are() {
        let pipe = Auth::Descriptors(3, 4);
        let rows = [
            ("", " -j2 --jobserver-auth=3,4"),
            ("V=1", "V=1 -j2 --jobserver-auth=3,4"),
            (
                "ks -j8 --no-print-directory -- V=1 W=2",
                "ks --no-print-directory -j2 --jobserver-auth=3,4 -- V=1 W=2",
            ),
            ("-j 8 -k", "-k -j2 --jobserver-auth=3,4"),
            ("--jobs=3 --jobserver-auth=7,8", " -j2 --jobserver-auth=3,4"),
        ];
        for (flags, expected) in rows {
            assert_eq!(with_jobs(flags, 2, Some(&pipe)), expected, "{flags}");
        }
        assert_eq!(with_jobs("k -j9 --jobserver-auth=3,4", 1, None), "k -j1");
    }

    #[test]
    fn only_a_plain_path_can_be_named() {
        assert!(can_name(Path::new("/var/lib/dkms/.dkms-hook/.tmp-aZ09/jobs")));
        for path in ["/a b/jobs", "jobs", "/a$x/jobs", "/a,b"] {
            assert!(!can_name(Path::new(path)), "{path}");
        }
    }
}
