#!/bin/bash
# Expected: `mokutil --test-key CERT` succeeds for an enrolled key, as `grep -q` and `test` do.
# Happens:  0 says that the key is not enrolled, 1 that it is, and 1 also that there is no EFI to ask.
#           An unknown option is 0, too.
# Versions: mokutil 0.7.2-1 (trixie).
# Seen:     enrolled 1, not enrolled 0, no EFI 1, --nonsense 0.
. "$(dirname "$0")/lib.sh"
needs openssl python3
root=$work/root
root_of "$root" trixie mokutil=0.7.2-1 dash busybox-static
mkdir -p "$root/tmp/vars" "$root/tmp/none"
for key in known other; do
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/$key.pem" -subj "/CN=$key" -days 3650 -outform DER \
		-out "$root/tmp/$key.der" 2>"$work/out"
done
# The list of owner's keys as the firmware's boot loader leaves it: one X.509 certificate.
python3 - "$root/tmp" <<'PY'
import struct, sys, uuid
top = sys.argv[1]
shim = "605dab50-e046-4300-abb6-3dd810dd8b23"
cert = open(top + "/known.der", "rb").read()
entry = uuid.UUID(shim).bytes_le + cert
kind = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072").bytes_le
body = kind + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry
open(f"{top}/vars/MokListRT-{shim}", "wb").write(struct.pack("<I", 6) + body)
secure = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
open(f"{top}/vars/SecureBoot-{secure}", "wb").write(struct.pack("<IB", 6, 1))
PY
mok() { status_of in_root "$root" env EFIVARFS_PATH="$1" mokutil "${@:2}"; }
expect "status for an enrolled key" 1 "$(mok /tmp/vars/ --test-key /tmp/known.der)"
expect "text for an enrolled key" "/tmp/known.der is already enrolled" "$(xargs <"$work/out")"
expect "status for another key" 0 "$(mok /tmp/vars/ --test-key /tmp/other.der)"
expect "text for another key" "/tmp/other.der is not enrolled" "$(xargs <"$work/out")"
expect "status without EFI" 1 "$(mok /tmp/nowhere/ --test-key /tmp/known.der)"
expect "text without EFI" "EFI variables are not supported on this system" "$(xargs <"$work/out")"
expect "status of an unknown option" 0 "$(mok /tmp/vars/ --nonsense)"
as_found "mokutil --test-key: 1 is enrolled or no EFI, 0 is not enrolled; an unknown option is 0"
