//! The vermagic of a kernel, as far as its headers say (include/linux/vermagic.h).

use std::path::Path;

use super::KernelConfig;
use crate::fs::regular;
use crate::model::fit::Misfit;

/// Words of a vermagic with the settings that put them there, any of which does.
const WORDS: [(&str, &[&str]); 5] = [
    ("SMP", &["CONFIG_SMP"]),
    ("preempt", &["CONFIG_PREEMPT_BUILD", "CONFIG_PREEMPT"]),
    ("preempt_rt", &["CONFIG_PREEMPT_RT"]),
    ("mod_unload", &["CONFIG_MODULE_UNLOAD"]),
    ("modversions", &["CONFIG_MODVERSIONS"]),
];

/// The generated files that hold the seed of a kernel with randomised structures (the second until 6.0).
const SEEDS: [&str; 2] = ["include/generated/randstruct_hash.h", "include/generated/randomize_layout_hash.h"];

/// The first word of a module's vermagic that a kernel with these headers has not, or the first that it
/// has and the module lacks. The release, which comes first, is for the caller; words for which no setting
/// is known are left alone.
pub fn contradiction(vermagic: &str, config: &KernelConfig, headers: &Path) -> Option<Misfit> {
    let words: Vec<&str> = vermagic.split_whitespace().skip(1).collect();
    // Which of the two a preemptible real-time kernel has depends on its version.
    let preemption = |word: &str| word.starts_with("preempt");
    for (word, settings) in WORDS {
        let has = words.contains(&word);
        let wanted = settings.iter().any(|setting| config.is_set(setting));
        let other = preemption(word) && words.iter().any(|w| preemption(w));
        if has != wanted && !(wanted && other) {
            return Some(Misfit::Vermagic { word: word.to_owned(), missing: wanted });
        }
    }
    let seed = words.iter().find_map(|word| word.strip_prefix("RANDSTRUCT_"))?;
    let known = SEEDS
        .iter()
        .any(|file| regular::read_to_string(&headers.join(file)).is_ok_and(|text| text.contains(seed)));
    (!known).then(|| Misfit::Vermagic { word: format!("RANDSTRUCT_{seed}"), missing: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> std::sync::Arc<KernelConfig> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auto.conf");
        std::fs::write(&path, text).unwrap();
        KernelConfig::read(&path).unwrap()
    }

    fn said(vermagic: &str, text: &str) -> Option<String> {
        contradiction(vermagic, &config(text), Path::new("/nonexistent")).map(|m| m.to_string())
    }

    #[test]
    fn words_follow_the_configuration() {
        let text = "CONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n";
        assert_eq!(said("6.1 SMP preempt mod_unload modversions ", text), None);
        assert_eq!(said("6.1 SMP preempt mod_unload modversions aarch64", text), None);
        assert_eq!(
            said("6.1 SMP mod_unload modversions ", text).as_deref(),
            Some("its vermagic lacks `preempt`, which the kernel requires")
        );
        assert_eq!(
            said("6.1 SMP preempt mod_unload modversions ", "CONFIG_SMP=y\n").as_deref(),
            Some("its vermagic has `preempt`, which the kernel lacks")
        );
        let real_time = "CONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT_RT=y\n";
        assert_eq!(said("6.1 SMP preempt_rt ", real_time), None);
        assert_eq!(said("6.1 SMP preempt ", real_time), None);
        assert!(said("6.1 SMP preempt_rt ", "CONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\n").is_some());
    }

    #[test]
    fn the_seed_of_randomised_structures_is_that_of_the_headers() {
        let dir = tempfile::tempdir().unwrap();
        let config = config("CONFIG_SMP=y\n");
        let says = |seed: &str| contradiction(&format!("6.1 SMP RANDSTRUCT_{seed}"), &config, dir.path());
        std::fs::create_dir_all(dir.path().join("include/generated")).unwrap();
        std::fs::write(dir.path().join(SEEDS[0]), "#define RANDSTRUCT_HASHED_SEED \"abc\"\n").unwrap();
        assert_eq!(says("abc"), None);
        assert_eq!(
            says("xyz").map(|m| m.to_string()).as_deref(),
            Some("its vermagic has `RANDSTRUCT_xyz`, which the kernel lacks")
        );
    }
}
