//! The part of the shell's language that is data: assignments and what they are made of.

/// A word: pieces that stand next to each other without a blank.
pub(super) type Word = Vec<Piece>;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that stands for itself (quoting already taken off).
    Literal(Vec<u8>),
    /// `$name`, `${name}`, `${name[n]}` and the forms with an alternative.
    Variable {
        name: String,
        index: usize,
        otherwise: Option<Alternative>,
        /// In double quotes: an array literal does not split or expand it then.
        quoted: bool,
    },
    /// A command substitution. It is harmless as long as nothing asks for its value.
    Command,
}

/// `-word`, `:-word`, `+word` or `:+word`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    /// `+`: the word replaces a value that is there; `-`: it stands in for one that is not.
    pub when_set: bool,
    /// With a colon: an empty value counts as none.
    pub empty_is_unset: bool,
    pub word: Word,
}

/// What is right of the `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Scalar(Word),
    Array(Vec<Word>),
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Line on which it starts, from 1.
    pub line: usize,
    pub name: String,
    /// `name[index]=`; 0 when none is written, which is the same to the shell.
    pub index: usize,
    /// `+=`
    pub append: bool,
    pub value: Value,
}

/// Variables that bash sets, reads or protects itself (bash(1), "Shell Variables"): to assign one
/// may change how the rest is read.
pub(super) fn belongs_to_shell(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "CDPATH",
        "CHILD_MAX",
        "COLUMNS",
        "COMPREPLY",
        "DIRSTACK",
        "EMACS",
        "ENV",
        "EPOCHREALTIME",
        "EPOCHSECONDS",
        "EUID",
        "EXECIGNORE",
        "FCEDIT",
        "FIGNORE",
        "FUNCNAME",
        "FUNCNEST",
        "GLOBIGNORE",
        "GROUPS",
        "HOME",
        "HOSTFILE",
        "HOSTNAME",
        "HOSTTYPE",
        "IFS",
        "IGNOREEOF",
        "INPUTRC",
        "LANG",
        "LANGUAGE",
        "LINENO",
        "LINES",
        "MACHTYPE",
        "MAIL",
        "MAILCHECK",
        "MAILPATH",
        "MAPFILE",
        "OLDPWD",
        "OPTARG",
        "OPTERR",
        "OPTIND",
        "OSTYPE",
        "PATH",
        "PIPESTATUS",
        "POSIXLY_CORRECT",
        "PPID",
        "PS0",
        "PS1",
        "PS2",
        "PS3",
        "PS4",
        "PWD",
        "RANDOM",
        "REPLY",
        "SECONDS",
        "SHELL",
        "SHELLOPTS",
        "SHLVL",
        "SRANDOM",
        "TIMEFORMAT",
        "TMOUT",
        "TMPDIR",
        "UID",
        "_",
        "auto_resume",
        "histchars",
    ];
    const PREFIXES: &[&str] = &["BASH", "COMP_", "HIST", "LC_", "PROMPT_", "READLINE_", "__dkms_hook"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
