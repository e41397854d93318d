//! The face as a whole: words in, requests and lines and exit status out.

mod actions;
mod words;
