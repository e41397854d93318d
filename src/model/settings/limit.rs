//! How long something may take, as people write it.

use std::fmt;
use std::time::Duration;

/// The longest time that something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `None`: as long as it likes.
    pub time: Option<Duration>,
    /// The setting that says so, for messages.
    pub setting: &'static str,
}

/// Seconds of the units in which a limit is written, the largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Limit {
    /// So many seconds; 0 for no limit.
    pub const fn seconds(setting: &'static str, seconds: u64) -> Self {
        let time = if seconds == 0 { None } else { Some(Duration::from_secs(seconds)) };
        Self { time, setting }
    }

    /// `90`, `90s`, `30m`, `4h`, `1d`, or 0 for no limit; `None` for anything else.
    pub fn parse(setting: &'static str, text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
        let (digits, seconds) = unit.unwrap_or((&text, 1));
        digits.parse::<u64>().ok()?.checked_mul(seconds).map(|seconds| Self::seconds(setting, seconds))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            None => f.write_str("0"),
            Some(time) => f.write_str(&written(time)),
        }
    }
}

/// A time in the largest unit that it is a whole number of: `4h`, `90s`.
pub fn written(time: Duration) -> String {
    let seconds = time.as_secs();
    let whole = UNITS.iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    match whole {
        Some((unit, length)) => format!("{}{unit}", seconds / length),
        None => format!("{}s", time.as_secs_f32()),
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident = $setting:literal, $seconds:expr;)*) => {
        /// How long each kind of step may take.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $field: super::Value<Limit>,)*
        }

        impl Limits {
            /// The names of the settings.
            pub const NAMES: &'static [&'static str] = &[$($setting),*];

            /// Each with what `ask` makes of it; where that is nothing, the default.
            pub fn from(ask: impl Fn(&'static str) -> Option<super::Value<Limit>>) -> Self {
                let default = |setting, seconds| super::Value::default_of(Limit::seconds(setting, seconds));
                Self { $($field: ask($setting).unwrap_or_else(|| default($setting, $seconds)),)* }
            }

            /// All of them by name.
            pub fn all(&self) -> Vec<(&'static str, &super::Value<Limit>)> {
                vec![$(($setting, &self.$field)),*]
            }
        }
    };
}

limits! {
    /// `time_limit_conf`: bash that evaluates a dkms.conf.
    conf = "time_limit_conf", 10;
    /// `time_limit_build`: each command of a build: a patch, PRE_BUILD, make, POST_BUILD.
    build = "time_limit_build", 4 * 3_600;
    /// `time_limit_script`: each of the other scripts of a module, and `post_transaction`.
    script = "time_limit_script", 30 * 60;
    /// `time_limit_tool`: what is done with one module file: strip, signing, compressing; and what loads or links modules.
    tool = "time_limit_tool", 30 * 60;
    /// `time_limit_depmod`: depmod(8) for one kernel.
    depmod = "time_limit_depmod", 10 * 60;
    /// `time_limit_initramfs`: a generator of one kernel's initramfs.
    initramfs = "time_limit_initramfs", 3_600;
    /// `time_limit_lock`: how long a hook waits for another run.
    lock = "time_limit_lock", 30 * 60;
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(|_| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_with_units() {
        let rows = [("4h", 14_400, "4h"), ("90", 90, "90s"), ("30M", 1_800, "30m"), (" 1d ", 86_400, "1d")];
        for (text, seconds, shown) in rows {
            let limit = Limit::parse("x", text).unwrap();
            assert_eq!((limit.time, limit.to_string().as_str()), (Some(Duration::from_secs(seconds)), shown));
        }
        let none = Limit::parse("x", "0").unwrap();
        assert_eq!((none.time, none.to_string().as_str()), (None, "0"));
        for text in ["", "h", "-1", "1.5h", "4 hours", "never", "99999999999999999999s"] {
            assert_eq!(Limit::parse("x", text), None, "{text}");
        }
        assert_eq!(Limits::default().all().len(), Limits::NAMES.len());
    }
}
