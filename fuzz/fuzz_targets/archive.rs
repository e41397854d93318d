#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dkms_hook_fuzz::archive(bytes));
