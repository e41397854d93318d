//! Signing for real: keys made by openssl, and a stand-in for the kernel's sign-file that signs with
//! `openssl cms` and appends what sign-file appends.

use std::path::PathBuf;
use std::process::Command;

use dkms_hook::elf::Compression;
use dkms_hook::kernel::{Checked, check_file};
use dkms_hook::trust::pki::Certificate;

use super::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

/// A kernel with compressed modules.
pub const K: &str = "6.12.1-toy";

/// A kernel without.
pub const K2: &str = "6.13.0-toy";

/// The first module of [`K`], installed, inside a root.
pub const INSTALLED: &str = "/lib/modules/6.12.1-toy/updates/dkms/hello.ko.xz";

/// Vendors of variables: EFI itself, shim, and the firmware's database.
pub const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
pub const SHIM: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";
pub const DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

/// Where DKMS has its key, inside a root.
pub const KEY: &str = "/var/lib/dkms/mok.key";

/// Where DKMS has its certificate, inside a root.
pub const CERTIFICATE: &str = "/var/lib/dkms/mok.pub";

/// Where the stand-in notes its calls, inside the root: digest, key, certificate, module's file name.
const CALLS: &str = "/var/log/toy-sign-calls";

/// The stand-in.
const SIGN_FILE: &str = r#"#!/bin/sh
set -e
test "$module" && test "$kernelver" || { echo "called without the build's environment" >&2; exit 9; }
echo "$1 $2 $3 ${4##*/}" >> @CALLS@
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
openssl x509 -inform DER -in "$3" -out "$dir/certificate" 2> /dev/null ||
	openssl x509 -in "$3" -out "$dir/certificate"
openssl cms -sign -binary -noattr -nocerts -md "$1" -signer "$dir/certificate" -inkey "$2" \
	${KBUILD_SIGN_PIN:+-passin env:KBUILD_SIGN_PIN} -outform DER -in "$4" -out "$dir/signature"
length=$(wc -c < "$dir/signature")
cat "$dir/signature" >> "$4"
printf '\0\0\2\0\0\0\0\0\0\0' >> "$4"
printf "$(printf '\\%03o\\%03o' $((length / 256)) $((length % 256)))" >> "$4"
printf '~Module signature appended~\n' >> "$4"
"#;

/// What the kernels of Debian have in their configuration of signatures.
const SIGNING: [&str; 9] = [
    "CONFIG_MODULE_SIG=y",
    "CONFIG_MODULE_SIG_HASH=\"sha256\"",
    "CONFIG_CRYPTO_SHA256=y",
    "CONFIG_IMA_ARCH_POLICY=y",
    "CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT=y",
    "CONFIG_LOAD_UEFI_KEYS=y",
    "CONFIG_INTEGRITY_PLATFORM_KEYRING=y",
    "CONFIG_INTEGRITY_MACHINE_KEYRING=y",
    "CONFIG_SECONDARY_TRUSTED_KEYRING=y",
];

/// [`K`] and [`K2`], which want signatures, and a module of two files.
pub fn root() -> FakeRoot {
    let root = FakeRoot::new();
    let kernel = |release| SIGNING.iter().fold(ToyKernel::new(release), |kernel, line| kernel.config(line));
    kernel(K).compressed("XZ").install(&root);
    kernel(K2).install(&root);
    root.write_sign_file(K);
    root.write_sign_file(K2);
    root.write("/etc/dkms/framework.conf", "try_sign_modules=true\n");
    ToyModule::new("hello", "1.0").record("world").register(&root);
    root
}

impl FakeRoot {
    /// Puts the stand-in where the headers of a Debian kernel have sign-file.
    pub fn write_sign_file(&self, kernel: &str) -> PathBuf {
        let text = SIGN_FILE.replace("@CALLS@", self.path(CALLS).to_str().unwrap());
        self.write_script(format!("/usr/src/linux-headers-{kernel}/scripts/sign-file"), &text)
    }

    /// The calls of the stand-in since the last call of this function, with paths from inside the
    /// root.
    pub fn take_sign_calls(&self) -> Vec<String> {
        let path = self.path(CALLS);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        let prefix = self.layout.root.dir().display().to_string();
        text.lines().map(|line| line.replace(&prefix, "")).collect()
    }

    /// Makes a key pair as DKMS does, in place of any that is there; with a passphrase the key is
    /// locked.
    pub fn write_pair(&self, key: &str, certificate: &str, passphrase: Option<&str>) {
        for file in [key, certificate] {
            self.write(file, "");
        }
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-new", "-x509", "-days", "36500", "-newkey", "rsa:2048"]);
        openssl.args(["-subj", "/CN=Toy key", "-outform", "DER", "-keyout"]).arg(self.path(key));
        openssl.arg("-out").arg(self.path(certificate));
        match passphrase {
            Some(text) => openssl.arg("-passout").arg(format!("pass:{text}")),
            None => openssl.arg("-nodes"),
        };
        let output = openssl.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What is to be said of a module file's signature, both paths inside the root.
    pub fn checked(&self, module: &str, certificate: &str, hash: &str) -> Checked {
        let certificate = Certificate::read(&self.path(certificate)).unwrap();
        check_file(&self.path(module), &certificate, hash).unwrap()
    }

    /// A module file's content, unpacked.
    pub fn module(&self, module: &str) -> Vec<u8> {
        let path = self.path(module);
        Compression::of(&path).unwrap().unpack(std::fs::read(path).unwrap()).unwrap()
    }

    /// Sets a variable of the firmware: four bytes of attributes, then the content.
    pub fn firmware(&self, name: &str, vendor: &str, content: &[u8]) {
        let bytes = [&[6, 0, 0, 0], content].concat();
        self.write(format!("/sys/firmware/efi/efivars/{name}-{vendor}"), bytes);
    }

    /// A start with Secure Boot on, by way of shim, which has no keys of the owner yet; `parameters` are those that every
    /// kernel is started with.
    pub fn boots_securely(&self, parameters: &str) {
        self.firmware("SecureBoot", GLOBAL, &[1]);
        self.firmware("MokListRT", SHIM, &[]);
        self.firmware("MokListTrustedRT", SHIM, &[1]);
        self.write("/etc/kernel/cmdline", parameters);
    }

    /// An EFI_SIGNATURE_LIST of one X.509 certificate.
    pub fn signature_list(&self, certificate: &str) -> Vec<u8> {
        let der = std::fs::read(self.path(certificate)).unwrap();
        let size = 16 + u32::try_from(der.len()).unwrap();
        let mut list = vec![0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a];
        list.extend([0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72]);
        for field in [28 + size, 0, size] {
            list.extend(field.to_le_bytes());
        }
        list.extend([0; 16]);
        list.extend(der);
        list
    }
}
