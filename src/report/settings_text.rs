//! `dkms-hook settings`.

use crate::model::settings::{Row, Settings};

/// One line for each setting: its name, its value, and where that comes from.
pub fn render(settings: &Settings) -> String {
    let rows = settings.rows();
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let line = |row: &Row<'_>| {
        let value = row.value.as_deref().map_or_else(|| "not set".to_owned(), quoted);
        format!("{:width$}  {value}  ({})\n", row.name, row.origin)
    };
    rows.iter().map(line).collect()
}

/// A value on one line, in quotes where its end would not be seen.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control());
    if plain { value.to_owned() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fit::Rebuild;
    use crate::model::settings::{Origin, Value};

    #[test]
    fn each_setting_has_a_line_that_says_who_set_it() {
        let path = "/etc/dkms/framework.conf.d/site.conf";
        let file = |line| Origin::File { path: path.into(), line };
        let settings = Settings {
            rebuild: Value::new(Rebuild::Abi, Origin::CommandLine("--rebuild")),
            parallel_jobs: Value::new(Some(3), Origin::Environment("parallel_jobs".into())),
            post_transaction: Value::new(Some("echo a\nb".into()), file(Some(7))),
            compress_gzip_opts: Value::new(Some(String::new()), file(None)),
            ..Settings::default()
        };
        let text = render(&settings);
        let line = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_once(' ').unwrap().1.trim_start().to_owned()
        };
        assert_eq!(line("dkms_tree"), "/var/lib/dkms  (default)");
        assert_eq!(line("rebuild"), "abi  (option --rebuild)");
        assert_eq!(line("parallel_jobs"), "3  (parallel_jobs in the environment)");
        assert_eq!(line("post_transaction"), format!("\"echo a\\nb\"  ({path}, line 7)"));
        assert_eq!(line("compress_gzip_opts"), format!("\"\"  ({path})"));
        assert_eq!(line("sign_file"), "not set  (default)");
        assert_eq!(text.lines().count(), settings.rows().len());
    }
}
