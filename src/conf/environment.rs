//! What the environment of the caller says, as far as DKMS listens to it.
//!
//! Only where it cannot make a hook and a shell disagree: how many jobs, and what follows an install.
//! What changes the result of a build is kept with that build (see `record::Overrides`).

use std::ffi::OsString;
use std::path::PathBuf;

use super::model::Framework;

/// The variables, read once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `parallel_jobs`: jobs for make where neither `-j` nor framework.conf says; 0 for no limit.
    pub parallel_jobs: Option<usize>,
    /// `modprobe_on_install`: any text switches it on.
    pub modprobe_on_install: bool,
    /// `post_transaction`: a shell command, where framework.conf has none.
    pub post_transaction: Option<String>,
    /// `build_environment`: a file sourced before the builds that this call asks for by name.
    pub build_environment: Option<PathBuf>,
    /// `NO_WEAK_MODULES`: as the directive, for every module.
    pub no_weak_modules: bool,
    /// Every variable that begins with `DKMS_DIRECTIVE`, in the order of their names: a directive and
    /// its value, as after `--directive`.
    pub directives: Vec<(String, String)>,
}

impl Environment {
    /// That of this process.
    pub fn here() -> Self {
        Self::of(std::env::vars_os())
    }

    /// Picks them out of some variables. What is not UTF-8 text is not looked at.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut found = Self::default();
        let mut directives = Vec::new();
        for (name, value) in variables {
            let (Some(name), Ok(value)) = (name.to_str().map(str::to_owned), value.into_string()) else {
                continue;
            };
            if value.is_empty() {
                continue;
            }
            match name.as_str() {
                "parallel_jobs" => found.parallel_jobs = value.trim().parse().ok(),
                "modprobe_on_install" => found.modprobe_on_install = true,
                "post_transaction" => found.post_transaction = Some(value),
                "build_environment" => found.build_environment = Some(value.into()),
                "NO_WEAK_MODULES" => found.no_weak_modules = !value.starts_with(['n', 'N']),
                _ if name.starts_with("DKMS_DIRECTIVE") => {
                    if let Some((directive, value)) = value.split_once('=') {
                        directives.push((name, (directive.to_owned(), value.to_owned())));
                    }
                }
                _ => {}
            }
        }
        directives.sort();
        found.directives = directives.into_iter().map(|(_, directive)| directive).collect();
        found
    }

    /// Settings with the variables put in where the files say nothing.
    #[must_use]
    pub fn complete(&self, framework: Framework) -> Framework {
        Framework {
            parallel_jobs: framework.parallel_jobs.or(self.parallel_jobs),
            modprobe_on_install: framework.modprobe_on_install || self.modprobe_on_install,
            post_transaction: framework.post_transaction.or_else(|| self.post_transaction.clone()),
            ..framework
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        Environment::of(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn variables_are_picked_out_and_settings_win() {
        let found = of(&[
            ("DKMS_DIRECTIVE_B", "AUTOINSTALL=yes"),
            ("DKMS_DIRECTIVE", "MAKE=make a=b"),
            ("DKMS_DIRECTIVE_C", "no equals sign"),
            ("parallel_jobs", "3"),
            ("post_transaction", "echo"),
            ("build_environment", ""),
            ("NO_WEAK_MODULES", "no"),
            ("PATH", "/bin"),
        ]);
        let expected = Environment {
            parallel_jobs: Some(3),
            post_transaction: Some("echo".to_owned()),
            directives: vec![
                ("MAKE".to_owned(), "make a=b".to_owned()),
                ("AUTOINSTALL".to_owned(), "yes".to_owned()),
            ],
            ..Environment::default()
        };
        assert_eq!(found, expected);
        let settings = Framework { parallel_jobs: Some(1), ..Framework::default() };
        let settings = found.complete(settings);
        assert_eq!((settings.parallel_jobs, settings.post_transaction.as_deref()), (Some(1), Some("echo")));
        assert!(of(&[("NO_WEAK_MODULES", "yes")]).no_weak_modules);
        assert_eq!(of(&[("parallel_jobs", "many")]), Environment::default());
    }
}
