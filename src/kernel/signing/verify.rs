//! Whether a module's signature is what the kernel wants, made with our key.
//!
//! What the signature says of itself is read here; whether it fits key and content is computed by
//! openssl, which the kernel's sign-file stands on, so that it knows every algorithm that can sign.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};
use tempfile::TempDir;

use crate::elf;
use crate::fs::regular;
use crate::process::{Process, QUERY_LIMIT, find_program, not_found};
use crate::tree::recover::WORKING;
use crate::trust::pki::{Certificate, Fault, SignedData, digest_name, digest_oid};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It is right.
    Good,
    /// It says that it was made with our key, and nothing speaks against it, but it could not be
    /// computed: why.
    Believed(String),
    /// It is of a form that is not known here: why. The kernel may know better.
    Unclear(String),
    /// The kernel would refuse it, or it is not ours: why, in words that follow a colon.
    Bad(String),
}

impl Checked {
    /// True when it is, as far as can be told, our signature.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Good | Self::Believed(_))
    }
}

/// Checks the signature at the end of an (uncompressed) module against a certificate and the digest
/// that the kernel was configured with.
pub fn check(module: &[u8], certificate: &Certificate, hash: &str) -> Checked {
    let bad = |why: &str| Checked::Bad(why.to_owned());
    let parts = match elf::appended(module) {
        Ok(Some(parts)) => parts,
        Ok(None) => return bad("it has no signature at its end"),
        Err(why) => return Checked::Bad(format!("the signature {why}")),
    };
    let signed = match SignedData::parse(parts.signature) {
        Ok(signed) => signed,
        Err(Fault::Malformed) => return bad("the signature is not PKCS#7"),
        Err(fault @ Fault::Unfamiliar) => return Checked::Unclear(fault.to_string()),
    };
    if !signed.detached {
        return bad("the signature contains what it signs, which the kernel refuses");
    }
    let Some(signer) = signed.signers.iter().find(|signer| signer.is(certificate)) else {
        return bad("the signature was not made with the key of the certificate");
    };
    if signer.signs_a_digest() {
        // pkcs7_verify() of the kernel, for VERIFYING_MODULE_SIGNATURE.
        if signer.attributes {
            return bad("the signature has signed attributes, which the kernel refuses");
        }
        if let Some(wanted) = digest_oid(hash)
            && wanted != signer.digest
        {
            let used = digest_name(&signer.digest).unwrap_or("another digest");
            return Checked::Bad(format!("it is signed with {used}, but the kernel requires {hash}"));
        }
    }
    compute(parts.body, parts.signature, certificate)
}

/// Has openssl compute it.
pub(super) fn compute(body: &[u8], signature: &[u8], certificate: &Certificate) -> Checked {
    if find_program("openssl").is_none() {
        return Checked::Believed(format!("nothing checks it: {}", not_found("openssl")));
    }
    match ask_openssl(body, signature, certificate) {
        Ok(checked) => checked,
        Err(error) => Checked::Believed(format!("it could not be checked: {error}")),
    }
}

fn ask_openssl(body: &[u8], signature: &[u8], certificate: &Certificate) -> std::io::Result<Checked> {
    let mut files = Files::default();
    let (content, signature) = (files.add("content", body)?, files.add("signature", signature)?);
    let certificate = files.add("certificate", certificate.to_pem().as_bytes())?;
    // Neither the signature's own certificates nor a chain count: it is about this key alone.
    let openssl = Process::new("openssl")
        .args(["cms", "-verify", "-binary", "-nointern", "-noverify", "-inform", "DER", "-in"])
        .arg(signature)
        .arg("-content")
        .arg(content)
        .arg("-certfile")
        .arg(certificate)
        .args(["-out", "/dev/null"])
        .without_terminal()
        .limit(QUERY_LIMIT);
    let got = openssl.capture().map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(judge(got.status, &String::from_utf8_lossy(&got.stderr)))
}

/// Files for another program to read. They are in memory, so that nothing of them is left whatever ends this program;
/// where there is no /proc by which others reach them, in a directory that the next run clears away after a kill.
#[derive(Default)]
struct Files {
    memory: Vec<File>,
    dir: Option<TempDir>,
}

impl Files {
    /// The path of a new one with this content.
    fn add(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
        if let Some((file, path)) = in_memory(name, bytes) {
            self.memory.push(file);
            return Ok(path);
        }
        let dir = match self.dir.take() {
            Some(dir) => dir,
            None => tempfile::Builder::new().prefix(WORKING).tempdir()?,
        };
        let path = self.dir.insert(dir).path().join(name);
        regular::write(&path, bytes).map(|()| path)
    }
}

fn in_memory(name: &str, bytes: &[u8]) -> Option<(File, PathBuf)> {
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC).ok()?);
    file.write_all(bytes).ok()?;
    let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    path.exists().then_some((file, path))
}

/// openssl-cms(1): 0 when it is right, 4 when it is not.
fn judge(status: i32, said: &str) -> Checked {
    // An algorithm that this openssl is too old for, or a policy of the machine forbids.
    const NOT_ABLE: [&str; 4] = ["unsupported", "unknown", "not supported", "disabled"];
    let reason = || {
        let line = said.lines().rev().find(|line| line.contains(":error:"));
        let text = line.and_then(|line| line.split(':').nth(5)).filter(|text| !text.is_empty());
        text.unwrap_or("no reason given").to_owned()
    };
    match status {
        0 => Checked::Good,
        4 if !NOT_ABLE.iter().any(|text| said.to_lowercase().contains(text)) => {
            Checked::Bad(format!("the signature does not match the module ({})", reason()))
        }
        4 => Checked::Believed(format!("openssl cannot check it: {}", reason())),
        other => Checked::Believed(format!("openssl ended with status {other}: {}", reason())),
    }
}

/// The file's content, unpacked, against a certificate: see [`check`].
///
/// # Errors
/// When the file cannot be read or unpacked.
pub fn check_file(path: &Path, certificate: &Certificate, hash: &str) -> std::io::Result<Checked> {
    let bytes = regular::read_module(path)?;
    let bytes = elf::Compression::of(path).unwrap_or(elf::Compression::None).unpack(bytes)?;
    Ok(check(&bytes, certificate, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openssl_says_of_a_signature() {
        let mismatch = "CMS Verification failure\n\
            40E7:error:0200008A:rsa routines:RSA_padding_check_PKCS1_type_1:invalid padding:../rsa.c:79:\n\
            40E7:error:17000070:CMS routines:cms_SignerInfo_verify:verification failure:../cms_sd.c:930:\n";
        assert_eq!(judge(0, ""), Checked::Good);
        let Checked::Bad(why) = judge(4, mismatch) else { panic!() };
        assert!(why.contains("verification failure"), "{why}");
        let too_old = "40E7:error:1E08010C:DECODER routines:OSSL_DECODER_from_bio:unsupported:d.c:102:\n";
        assert!(matches!(judge(4, too_old), Checked::Believed(why) if why.contains("unsupported")));
        assert!(judge(2, "").is_ours() && !Checked::Unclear(String::new()).is_ours());
    }
}
