# Needs make and the Rust toolchain; everything else is said, or installed when run as root, by the
# target that needs it.
#
#   make            the program
#   make install    DESTDIR, PREFIX (/usr), HOOKS (auto, apt, dnf, pacman, none)
#   make deb        a Debian package in target/packages/
#   make rpm        an rpm for Fedora and its relatives in target/packages/
#   make srpm       the source rpm that rpmbuild --rebuild makes it of
#   make pacman     a package for Arch and its relatives in target/packages/ (makepkg)
#   make check      format, lints, tests on fake roots: no root, no network
#   make test       that a new user's machine can do all of it: upgrades and boots in real roots
#   make test-all   every row of every lab (tests/run --list)
#   make demo       a kernel upgrade: as root on Debian with real packages, elsewhere with toy kernels
#   make bench fmt lint clean

PREFIX     ?= /usr
SYSCONFDIR ?= /etc
STATEDIR   ?= /var/lib
# On Arch sbin is a link to bin, which a package must not make a directory.
SBINDIR    ?= $(PREFIX)/$(if $(filter pacman,$(FAMILY)),bin,sbin)
LIBDIR     ?= $(PREFIX)/lib/dkms
MANDIR     ?= $(PREFIX)/share/man
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
# Where pacman and kernel-install look, wherever the program is.
ALPMDIR    ?= /usr/share/libalpm/hooks
KINSTDIR   ?= /usr/lib/kernel/install.d
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
UNITDIR    ?= $(PREFIX)/lib/systemd/system
# Where Python packages of the distribution are, for the plugin of dnf 4; empty without Python.
PYTHONDIR  ?= $(shell scripts/python-dir)
HOOKS      ?= auto
CARGO      ?= cargo
INSTALL    ?= install

FAMILY     := $(if $(filter auto,$(HOOKS)),$(shell scripts/package-manager '$(DESTDIR)'),$(HOOKS))
ZSHDIR     ?= $(PREFIX)/share/zsh/$(if $(filter apt,$(FAMILY)),vendor-completions,site-functions)

BUILDDIR   := $(or $(CARGO_TARGET_DIR),target)
BINARY     := $(BUILDDIR)/release/dkms-hook
STAGE      := target/stage/deb

# The files that call the program name it by its full path; this puts in the path chosen here.
PLACE      := sed -e 's,/usr/sbin/dkms,$(SBINDIR)/dkms,g' -e 's,/var/lib/dkms,$(STATEDIR)/dkms,g'
place       = $(PLACE) $(1) > '$(DESTDIR)$(2)' && chmod $(3) '$(DESTDIR)$(2)'

.PHONY: all build install install-program install-hooks-apt install-hooks-dnf install-boot-units \
        install-dnf4 install-hooks-pacman install-hooks-none deb stage-deb rpm srpm pacman \
        check test test-all demo bench fmt lint clean

all: build

build:
	$(CARGO) build --release --locked

# For `make install`, which may run as a user without a toolchain: only when it is missing.
$(BINARY):
	$(MAKE) build

install: install-program
	@case '$(FAMILY)' in \
	apt|dnf|pacman|none) $(MAKE) --no-print-directory install-hooks-$(FAMILY) HOOKS=$(FAMILY) ;; \
	unknown) echo "make install: no package manager recognised by os-release; only the program was" \
	    "installed. HOOKS=apt, dnf or pacman installs the hook files of Debian's, Fedora's or Arch's relatives." ;; \
	*) echo "make install: HOOKS=$(HOOKS) is not one of: auto apt dnf pacman none" >&2; exit 2 ;; \
	esac

install-program: $(BINARY)
	@scripts/check-owner '$(DESTDIR)' '$(SBINDIR)/dkms'
	$(INSTALL) -d '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(STATEDIR)/dkms' \
	    '$(DESTDIR)$(SYSCONFDIR)/dkms/framework.conf.d' '$(DESTDIR)$(MANDIR)/man8' \
	    '$(DESTDIR)$(BASHDIR)' '$(DESTDIR)$(ZSHDIR)' '$(DESTDIR)$(SYSUSERSDIR)'
	$(INSTALL) -m 755 '$(BINARY)' '$(DESTDIR)$(SBINDIR)/dkms-hook'
	ln -sfn dkms-hook '$(DESTDIR)$(SBINDIR)/dkms'
	$(call place,hooks/lib/common.postinst,$(LIBDIR)/common.postinst,755)
	$(call place,hooks/lib/dkms_autoinstaller,$(LIBDIR)/dkms_autoinstaller,755)
	$(INSTALL) -m 644 packaging/sysusers.d/dkms-hook.conf '$(DESTDIR)$(SYSUSERSDIR)/dkms-hook.conf'
	@# What an administrator wrote stays.
	[ -e '$(DESTDIR)$(SYSCONFDIR)/dkms/framework.conf' ] || \
	    $(INSTALL) -m 644 packaging/conf/framework.conf '$(DESTDIR)$(SYSCONFDIR)/dkms/framework.conf'
	for page in dkms dkms-hook; do \
	    gzip -9nc man/$$page.8 > '$(DESTDIR)$(MANDIR)'/man8/$$page.8.gz || exit 1; \
	    chmod 644 '$(DESTDIR)$(MANDIR)'/man8/$$page.8.gz; \
	done
	$(INSTALL) -m 644 completions/dkms.bash '$(DESTDIR)$(BASHDIR)/dkms'
	$(INSTALL) -m 644 completions/dkms-hook.bash '$(DESTDIR)$(BASHDIR)/dkms-hook'
	$(INSTALL) -m 644 completions/_dkms '$(DESTDIR)$(ZSHDIR)/_dkms'

# Debian and its relatives. The dpkg triggers exist only in the package: `make deb`.
install-hooks-apt: install-boot-units
	for point in preinst postinst prerm postrm header_postinst; do \
	    $(INSTALL) -d '$(DESTDIR)$(SYSCONFDIR)'/kernel/$$point.d && \
	    $(PLACE) hooks/kernel/$$point > '$(DESTDIR)$(SYSCONFDIR)'/kernel/$$point.d/dkms && \
	    chmod 755 '$(DESTDIR)$(SYSCONFDIR)'/kernel/$$point.d/dkms || exit 1; \
	done
	$(INSTALL) -d '$(DESTDIR)$(SYSCONFDIR)/apt/apt.conf.d' '$(DESTDIR)$(KINSTDIR)'
	$(call place,kernel-install.d/40-dkms.install,$(KINSTDIR)/40-dkms.install,755)
	$(call place,apt/20dkms-hook,$(SYSCONFDIR)/apt/apt.conf.d/20dkms-hook,644)

# Fedora and its relatives. rpm's file triggers exist only in the package: `make rpm`.
install-hooks-dnf: install-boot-units
	$(INSTALL) -d '$(DESTDIR)$(KINSTDIR)' '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(SYSCONFDIR)/dnf/libdnf5-plugins/actions.d'
	$(call place,kernel-install.d/40-dkms.install,$(KINSTDIR)/40-dkms.install,755)
	$(call place,dnf/dkms-hook.actions,$(SYSCONFDIR)/dnf/libdnf5-plugins/actions.d/dkms-hook.actions,644)
	$(call place,systemd/dkms.service,$(UNITDIR)/dkms.service,644)
	@[ -z '$(PYTHONDIR)' ] || $(MAKE) --no-print-directory install-dnf4 PYTHONDIR='$(PYTHONDIR)'

install-dnf4:
	$(INSTALL) -d '$(DESTDIR)$(PYTHONDIR)/dnf-plugins' '$(DESTDIR)$(SYSCONFDIR)/dnf/plugins'
	$(call place,dnf/dkms_hook.py,$(PYTHONDIR)/dnf-plugins/dkms_hook.py,644)
	[ -e '$(DESTDIR)$(SYSCONFDIR)/dnf/plugins/dkms_hook.conf' ] || \
	    $(INSTALL) -m 644 dnf/dkms_hook.conf '$(DESTDIR)$(SYSCONFDIR)/dnf/plugins/dkms_hook.conf'

# Arch and its relatives.
install-hooks-pacman: install-boot-units
	$(INSTALL) -d '$(DESTDIR)$(ALPMDIR)' '$(DESTDIR)$(KINSTDIR)'
	for hook in pacman/*.hook; do \
	    $(PLACE) $$hook > '$(DESTDIR)$(ALPMDIR)'/$${hook##*/} && \
	    chmod 644 '$(DESTDIR)$(ALPMDIR)'/$${hook##*/} || exit 1; \
	done
	$(call place,kernel-install.d/40-dkms.install,$(KINSTDIR)/40-dkms.install,755)

install-hooks-none:

# What looks at a start of the machine. The links are in the place where packages put them: no script has to enable them.
install-boot-units:
	$(INSTALL) -d '$(DESTDIR)$(UNITDIR)/boot-complete.target.requires' '$(DESTDIR)$(UNITDIR)/multi-user.target.wants'
	$(call place,systemd/dkms-hook-boot-check.service,$(UNITDIR)/dkms-hook-boot-check.service,644)
	$(call place,systemd/dkms-hook-boot-report.service,$(UNITDIR)/dkms-hook-boot-report.service,644)
	ln -sfn ../dkms-hook-boot-check.service '$(DESTDIR)$(UNITDIR)/boot-complete.target.requires/dkms-hook-boot-check.service'
	ln -sfn ../dkms-hook-boot-report.service '$(DESTDIR)$(UNITDIR)/multi-user.target.wants/dkms-hook-boot-report.service'

deb: build
	scripts/build-deb '$(BINARY)' '$(STAGE)' target/packages

rpm: build
	scripts/build-rpm '$(BINARY)' target/stage/rpm target/packages

srpm:
	scripts/build-srpm target/stage/srpm target/packages

pacman: build
	scripts/build-pacman '$(BINARY)' target/stage/pacman target/packages

# What the package has beyond `make install`; called by scripts/build-deb.
stage-deb:
	$(INSTALL) -d '$(DESTDIR)/etc/modprobe.d' '$(DESTDIR)/usr/share/doc/dkms-hook' \
	    '$(DESTDIR)/usr/share/lintian/overrides'
	$(INSTALL) -m 644 packaging/debian/autoinstall_all_kernels.conf '$(DESTDIR)/etc/dkms/framework.conf.d/'
	$(INSTALL) -m 644 packaging/debian/modprobe.conf '$(DESTDIR)/etc/modprobe.d/dkms.conf'
	$(INSTALL) -m 644 packaging/debian/copyright docs/json.md docs/*.schema.json \
		'$(DESTDIR)/usr/share/doc/dkms-hook/'
	gzip -9nc packaging/debian/changelog > '$(DESTDIR)/usr/share/doc/dkms-hook/changelog.gz'
	chmod 644 '$(DESTDIR)/usr/share/doc/dkms-hook/changelog.gz'
	$(INSTALL) -m 644 packaging/debian/lintian-overrides '$(DESTDIR)/usr/share/lintian/overrides/dkms-hook'

# What each of them runs, and single tests: tests/run.
check:
	tests/run check

test:
	tests/run test

test-all:
	tests/run test ci all

demo:
	@tests/demo/run

bench:
	$(CARGO) bench --locked

fmt:
	$(CARGO) fmt

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --features packaging -- -D warnings

clean:
	$(CARGO) clean
	rm -rf target/stage target/packages
