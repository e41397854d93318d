//! `dkms-hook fits`: whether modules can be built for a kernel, or a kernel would take a module. Changes nothing.

use std::path::PathBuf;

use clap::Args;

use crate::cli::root;
use crate::cli::screen::{print, to_json};
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::request::Wanted;
use crate::preflight::{self, Against, Hindrance};
use crate::progress::Report;
use crate::report::fits::{Answer, Outcome};
use crate::report::json;

/// The exit status where nothing could be tried.
const UNTRIED: u8 = 2;

/// Say whether modules can be built for a kernel that is not installed, without changing anything
///
/// With --headers, builds the registered modules with the headers in a directory; with a module file and a kernel,
/// compares the file's vermagic and symbols with that kernel. The exit status is 0 when everything fits or excludes the
/// kernel, 1 when something does not, and 2 when that could not be tried.
#[derive(Debug, Args)]
pub(super) struct Fits {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Build with the headers in this directory
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    headers: Option<PathBuf>,
    /// Only this module, also one that is not built by itself; may be given several times
    #[arg(long, value_name = "NAME[/VERSION]", conflicts_with = "file")]
    module: Vec<String>,
    /// A module file
    #[arg(value_name = "FILE.ko", requires = "kernel")]
    file: Option<PathBuf>,
    /// The kernel to compare it with: a release that is installed, or a directory of headers
    #[arg(value_name = "KERNEL")]
    kernel: Option<String>,
}

impl Fits {
    /// Tries, and tells.
    pub(super) fn run(&self, machine: &Machine, report: &dyn Report) -> Result<u8> {
        if let (Some(file), Some(kernel)) = (&self.file, &self.kernel) {
            return self.file(machine, file, kernel);
        }
        let Some(headers) = &self.headers else {
            return Err(Error::new(Kind::Misuse(UNTRIED), "fits needs --headers DIR, or FILE.ko and KERNEL")
                .hint("`dkms-hook fits --help` explains each"));
        };
        let wanted = self.module.iter().map(|name| Wanted::parse(name)).collect::<Result<Vec<_>, _>>()?;
        let headers = absolute(headers);
        let answers = match &headers {
            Ok(headers) => preflight::fits_headers(machine, headers, &wanted, report),
            Err(error) => Err(Hindrance::Other(error.clone())),
        };
        self.tell(answers, &wanted)
    }

    fn tell(&self, answers: Result<Vec<Answer>, Hindrance>, wanted: &[Wanted]) -> Result<u8> {
        let answers = match answers {
            Ok(answers) => answers,
            Err(hindrance) => return self.nothing(&hindrance),
        };
        let missing =
            wanted.iter().find(|wanted| !answers.iter().any(|answer| wanted.includes(&answer.cell.module)));
        if let Some(wanted) = missing {
            let text =
                format!("no module {wanted} is registered here; `dkms status` lists the modules that are");
            return self.nothing(&Hindrance::Other(text));
        }
        if self.json {
            print(&to_json(&json::fits(&answers))?);
        } else {
            print(&answers.iter().map(Answer::text).collect::<String>());
        }
        Ok(Outcome::of(&answers).exit_status())
    }

    fn file(&self, machine: &Machine, file: &std::path::Path, kernel: &str) -> Result<u8> {
        let path = root::as_opened(std::path::Path::new(kernel));
        let against = absolute(&path).or_else(|_| Ok::<_, Hindrance>(path.clone()));
        let answer = against.and_then(|path| {
            let against = Against::named(machine, kernel, &path)?;
            preflight::fits_file(machine, &root::as_opened(file), &against)
        });
        match answer {
            Ok(answer) => {
                if self.json {
                    print(&to_json(&json::file_fits(&answer))?);
                } else {
                    print(&answer.text());
                }
                Ok(answer.outcome.exit_status())
            }
            Err(hindrance) => self.nothing(&hindrance),
        }
    }

    /// Nothing could be tried.
    fn nothing(&self, hindrance: &Hindrance) -> Result<u8> {
        if self.json {
            print(&to_json(&json::nothing_fits(&hindrance.to_string()))?);
            return Ok(UNTRIED);
        }
        Err(Error::new(Kind::Misuse(UNTRIED), format!("cannot try: {hindrance}")))
    }
}

/// A directory by its path from `/`, as this process sees it.
fn absolute(dir: &std::path::Path) -> std::result::Result<PathBuf, String> {
    let dir = root::as_opened(dir);
    dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))
}
