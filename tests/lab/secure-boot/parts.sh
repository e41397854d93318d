# shellcheck shell=bash
# What run needs: keys, the guest's files, the firmware's variables, the start.

# make_tools: what the mirror has for this, in a layer over trixie's root.
make_tools() {
	local root=$WORK/root
	mkdir -p "$WORK/tools" "$WORK/tools-work"
	stack "$(root_dir trixie)" "$WORK/tools" "$WORK/tools-work" "$root"
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	sources_for trixie >"$root/etc/apt/sources.list"
	rm -f "$root"/etc/apt/sources.list.d/*
	{
		in_root "$root" apt-get -q -o APT::Sandbox::User=root update
		in_root "$root" apt-get -q -y -o APT::Sandbox::User=root install --no-install-recommends shim-signed \
			grub-efi-amd64-signed ovmf python3-virt-firmware busybox-static mokutil
	} >"$WORK/tools.log" 2>&1
}

# certificate NAME SUBJECT [OPTION…]: key and certificate, PEM and DER.
certificate() {
	local name=$1 subject=$2
	shift 2
	openssl req -new -x509 -nodes -newkey rsa:2048 -days 3650 -subj "/CN=$subject" -keyout "$name.key" -out "$name.pem" \
		-addext basicConstraints=critical,CA:FALSE -addext keyUsage=digitalSignature "$@" 2>/dev/null
	openssl x509 -in "$name.pem" -outform DER -out "$name.der"
}

make_keys() {
	mkdir -p "$WORK/keys"
	cd "$WORK/keys" || return
	certificate mok 'lab MOK'
	certificate modonly 'lab MOK for modules' -addext extendedKeyUsage=1.3.6.1.4.1.2312.16.1.2
	certificate db 'lab db'
	certificate unknown 'lab unknown'
	openssl req -new -x509 -nodes -newkey rsa:2048 -days 3650 -subj '/CN=lab CA' -keyout ca.key -out ca.pem 2>/dev/null
	openssl req -new -nodes -newkey rsa:2048 -subj '/CN=lab leaf of the CA' -keyout byca.key -out byca.csr 2>/dev/null
	openssl x509 -req -in byca.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out byca.pem 2>/dev/null
	openssl req -new -nodes -newkey rsa:2048 -subj '/CN=lab expired' -keyout expired.key -out expired.csr 2>/dev/null
	openssl x509 -req -in expired.csr -signkey expired.key -days -1 -out expired.pem 2>/dev/null
	for name in ca byca expired; do openssl x509 -in "$name.pem" -outform DER -out "$name.der"; done
	touch done
}

# change FILE: one byte of the module's content, which is no part of its structure.
change() { python3 "$HERE/change" "$1"; }

# make_guest SUITE: modules signed in every way, and an archive with all that the guest needs.
make_guest() {
	local suite=$1 root=$WORK/root out=$WORK/$1 kernel guest sign
	. "$(kernels_file "$suite")"
	kernel=${RS:-${R2:-}}
	mount -t tmpfs -o mode=755 lab "$WORK/mnt" 2>/dev/null || { mkdir -p "$WORK/mnt" && mount -t tmpfs -o mode=755 lab "$WORK/mnt"; }
	stack "$(root_dir "$suite")" "$WORK/mnt/upper" "$WORK/mnt/work" "$root"
	furnish "$root"
	mkdir -p "$out" "$root/debs" && rm -rf "${out:?}"/*
	cp "$(deb_dir "$suite")"/linux-{headers,kbuild}-*.deb "$(deb_dir "$suite")"/{gcc,cpp,pahole,lib}*.deb "$root/debs/" 2>/dev/null
	for deb in "$(deb_dir "$suite")"/linux-{image,modules,binary}-"$kernel"_*.deb "$root"/debs/*.deb; do
		case $deb in *linux-headers-*) case $deb in *-common* | *"$kernel"*) ;; *) continue ;; esac ;; esac
		[ ! -e "$deb" ] || dpkg-deb --fsys-tarfile "$deb" | tar -xf - -C "$root" --keep-directory-symlink
	done
	mkdir -p "$root/w" && cp "$HERE/wtest.c" "$root/w/" && echo 'obj-m := wtest.o' >"$root/w/Makefile"
	in_root "$root" ldconfig
	in_root "$root" make -C "/usr/src/linux-headers-$kernel" M=/w modules || return
	sign=$(ls "$root"/usr/lib/linux-kbuild-*/scripts/sign-file | sort -V | tail -n1)
	sign=${sign#"$root"}
	cp -r "$WORK/keys" "$root/keys"
	mkdir "$root/mods"
	# sign_as NAME KEY [DIGEST [FROM]]
	sign_as() {
		cp "$root/${4:-w/wtest.ko}" "$root/mods/$1.ko"
		in_root "$root" "$sign" "${3:-sha256}" "/keys/$2.key" "/keys/$2.pem" "/mods/$1.ko"
	}
	cp "$root/w/wtest.ko" "$root/mods/unsigned.ko"
	for key in mok modonly expired db unknown byca; do sign_as "$key" "$key"; done
	for key in mok db unknown; do sign_as "$key-changed" "$key" && change "$root/mods/$key-changed.ko"; done
	for digest in sha1 sha384 sha512 sha3-256; do sign_as "mok-$digest" mok "$digest"; done
	sign_as db-sha3-256 db sha3-256
	sign_as unknown-then-mok mok sha256 mods/unknown.ko
	sign_as mok-then-unknown unknown sha256 mods/mok.ko
	sign_as mok-stripped mok && strip -g "$root/mods/mok-stripped.ko"
	# 6.12 and later read only xz with CRC32.
	xz -k --check=crc32 --lzma2=dict=1MiB "$root/mods/mok.ko" && mv "$root/mods/mok.ko.xz" "$root/mods/mok-packed.ko.xz"
	xz -k --check=crc32 --lzma2=dict=1MiB "$root/mods/unsigned.ko" && mv "$root/mods/unsigned.ko.xz" "$root/mods/signed-outside.ko"
	in_root "$root" "$sign" sha256 /keys/mok.key /keys/mok.pem /mods/signed-outside.ko
	mv "$root/mods/signed-outside.ko" "$root/mods/signed-outside.ko.xz"
	xz -dc "$root/usr/lib/modules/$kernel/kernel/drivers/net/dummy.ko.xz" >"$root/mods/debian.ko"
	cp "$root/mods/debian.ko" "$root/mods/debian-changed.ko" && change "$root/mods/debian-changed.ko"
	guest=$WORK/mnt/guest
	mkdir -p "$guest"/{bin,mods,proc,sys,etc/kernel,tmp,dev,var/lib/dkms,run,usr/lib,lib/modules}
	cp "$root"/mods/* "$guest/mods/"
	cp "$WORK"/keys/*.der "$guest/mods/"
	guest_programs "$guest"
	guest_kernel "$root" "$guest" "$kernel" "$kernel"
	guest_kernel "$root" "$guest" "$kernel" "$kernel-twin"
	xz -dc "$root/usr/lib/modules/$kernel/kernel/fs/efivarfs/efivarfs.ko.xz" >"$guest/efivarfs.ko"
	install -m 755 "$HERE/init" "$guest/init"
	(cd "$guest" && find . | cpio --quiet -o -H newc) >"$out/initrd"
	cp "$root/boot/vmlinuz-$kernel" "$out/vmlinuz" 2>/dev/null || cp "$root/usr/lib/modules/$kernel/vmlinuz" "$out/vmlinuz"
	sbsign --key "$WORK/keys/db.key" --cert "$WORK/keys/db.pem" --output "$out/vmlinuz.db" "$out/vmlinuz" 2>/dev/null
}

# guest_kernel ROOT GUEST KERNEL NAME: what our program looks at, under this name: the configuration, and two of its own modules.
guest_kernel() {
	local modules=$2/lib/modules/$4
	mkdir -p "$modules/kernel/drivers" "$modules/kernel/crypto" "$2/usr/src/linux-headers-$4/include/config"
	cp "$1/usr/lib/modules/$3/kernel/drivers/net/dummy.ko.xz" "$modules/kernel/drivers/"
	find "$1/usr/lib/modules/$3/kernel" -name '*sha3*.ko.xz' -exec cp {} "$modules/kernel/crypto/" \;
	sed "s/^CONFIG_BUILD_SALT=.*/CONFIG_BUILD_SALT=$4/" "$1/usr/src/linux-headers-$3/include/config/auto.conf" \
		>"$2/usr/src/linux-headers-$4/include/config/auto.conf"
	ln -s "/usr/src/linux-headers-$4" "$modules/build"
	depmod -b "$2" "$4" 2>/dev/null || true
}

# guest_programs GUEST: trixie's, whatever the kernel, with the libraries that they need.
guest_programs() {
	local trixie file name more=yes
	trixie=$(root_dir trixie)
	mkdir -p "$1/lib64" "$1/usr/lib/ssl" "$1/sbin" "$1/lib/x86_64-linux-gnu"
	cp "$WORK/tools/usr/bin/busybox" "$WORK/tools/usr/bin/mokutil" "$trixie/usr/bin/openssl" "$trixie/usr/bin/kmod" "$1/bin/"
	strip -o "$1/bin/dkms-hook" "$PROGRAM"
	for file in modprobe insmod rmmod; do ln -s ../bin/kmod "$1/sbin/$file"; done
	: >"$1/usr/lib/ssl/openssl.cnf"
	cp -L "$trixie/usr/lib64/ld-linux-x86-64.so.2" "$1/lib64/"
	while [ -n "$more" ]; do
		more=
		for name in $(objdump -p "$1"/bin/{openssl,kmod,dkms-hook,mokutil} "$1"/lib/x86_64-linux-gnu/* 2>/dev/null | sed -n 's/ *NEEDED *//p' | sort -u); do
			[ ! -e "$1/lib/x86_64-linux-gnu/$name" ] || continue
			file=$(find "$WORK/tools/usr/lib/x86_64-linux-gnu" "$trixie/usr/lib/x86_64-linux-gnu" -maxdepth 1 -name "$name" 2>/dev/null | head -n1)
			[ -n "$file" ] || continue
			cp -L "$file" "$1/lib/x86_64-linux-gnu/$name" && more=yes
		done
	done
}

# variables STATE OUT: the firmware's.
variables() {
	local state=$1 out=$2 share=$WORK/tools/usr/share/OVMF guid=7e5a0d9e-1111-4222-8333-444455556666 add=()
	for name in mok modonly expired ca; do add+=(--add-mok "$guid" "/keys/$name.pem"); done
	add+=(--add-db "$guid" /keys/db.pem)
	case $state in
	no-shim) add=(--set-pk "$guid" /keys/db.pem --add-kek "$guid" /keys/db.pem --add-db "$guid" /keys/db.pem --add-mok "$guid" /keys/mok.pem --secure-boot) ;;
	esac
	case $state in
	off | sig-enforce | integrity | confidentiality) add+=(--set-false SecureBootEnable) ;;
	no-validation) add+=(--set-shim-verbose --sb-off) ;;
	esac
	case $state in no-shim) cp "$share/OVMF_VARS_4M.fd" "$WORK/mnt/in" ;; *) cp "$share/OVMF_VARS_4M.ms.fd" "$WORK/mnt/in" ;; esac
	"$HERE/variables" "$state" "$WORK/mnt/in" "$out" "${add[@]}"
}

# parameters_of STATE
parameters_of() {
	case $1 in
	sig-enforce) echo module.sig_enforce=1 ;;
	integrity | confidentiality) echo "lockdown=$1" ;;
	esac
}

# boot_state SUITE STATE: one start; what the guest says is kept.
boot_state() {
	local suite=$1 state=$2 out=$WORK/$1 dir=$WORK/mnt console=$LAB_OUT/secure-boot/$1-$2.console line esp machine=()
	mkdir -p "$WORK/mnt"
	mount -t tmpfs -o mode=755 lab "$dir"
	line="console=ttyS0 panic=-1 mitigations=off $(parameters_of "$state")"
	esp=$dir/esp
	machine=(-machine q35,smm=on,accel=tcg -global driver=cfi.pflash01,property=secure,value=on
		-drive "if=pflash,format=raw,unit=0,readonly=on,file=$WORK/tools/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
		-drive "if=pflash,format=raw,unit=1,file=$dir/vars")
	case $state in
	no-efi) machine=(-machine pc,accel=tcg -kernel "$out/vmlinuz" -initrd "$out/initrd" -append "$line") ;;
	*)
		variables "$state" "$dir/vars" || return
		case $state in
		no-shim) machine+=(-kernel "$out/vmlinuz.db" -initrd "$out/initrd" -append "$line") ;;
		*)
			mkdir -p "$esp/EFI/BOOT" "$esp/EFI/debian"
			cp "$WORK/tools/usr/lib/shim/shimx64.efi.signed" "$esp/EFI/BOOT/BOOTX64.EFI"
			cp "$WORK/tools/usr/lib/shim/mmx64.efi.signed" "$esp/EFI/BOOT/mmx64.efi"
			cp "$WORK/tools/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$esp/EFI/BOOT/grubx64.efi"
			cp "$out/vmlinuz" "$out/initrd" "$esp/"
			printf 'set timeout=0\nmenuentry lab {\n\tlinux /vmlinuz %s\n\tinitrd /initrd\n}\n' "$line" >"$esp/EFI/debian/grub.cfg"
			machine+=(-drive "format=raw,if=none,id=esp,file=fat:rw:$esp" -device virtio-blk-pci,drive=esp,bootindex=1)
			;;
		esac
		;;
	esac
	timeout -k 5 "${LAB_BOOT_LIMIT:-1500}" nice -n 19 qemu-system-x86_64 "${machine[@]}" -cpu max,-cx16 -m 1024 -smp 1 -nodefaults -display none \
		-no-reboot -nic none -serial "file:$console"
	grep -aq '^lab: end' <(tr -d '\r' <"$console")
}
