//! The smallest case that still shows a difference.

use dkms_hook::conf::evaluation::Question;

use super::readers::{Case, differs};

/// Takes away what is not needed for the difference.
pub fn shrink(question: &Question<'_>, mut case: Case) -> Case {
    for _ in 0..40 {
        let mut smaller: Vec<Case> = Vec::new();
        if case.len() > 1 {
            smaller.extend((0..case.len()).map(|n| vec![case[n].clone()]));
        }
        for (file, text) in case.iter().enumerate() {
            let mut length = text.len();
            while length > 0 {
                for start in (0..text.len()).step_by(length).take(60) {
                    let mut other = case.clone();
                    other[file].drain(start..(start + length).min(text.len()));
                    smaller.push(other);
                }
                length /= 2;
            }
        }
        let Some(found) = differs(question, &smaller).iter().position(|d| *d) else { break };
        case = smaller.swap_remove(found);
    }
    case
}

pub fn show(case: &Case) -> String {
    let files: Vec<_> = case.iter().map(|text| format!("b\"{}\"", text.escape_ascii())).collect();
    format!("&[{}]", files.join(", "))
}
