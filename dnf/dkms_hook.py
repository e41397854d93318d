"""Hands the files of incoming packages, and the kernels that go, to dkms-hook before a transaction of dnf 4.

This plugin builds nothing: kernel-install and rpm's file triggers do that, whichever program installs
the packages. It stops a transaction when dkms-hook ends with 3, and for no other reason.
"""

import logging
import os
import re
import subprocess

import dnf
import dnf.exceptions
import dnf.transaction

PROGRAM = '/usr/sbin/dkms-hook'
HOLD = 3
IMAGE = re.compile(r'(?:/usr)?/lib/modules/([^/]+)/vmlinuz|/boot/vmlinu[xz]-(.+)')

logger = logging.getLogger('dnf.plugin')


class DkmsHook(dnf.Plugin):
    name = 'dkms_hook'

    def __init__(self, base, cli):
        super().__init__(base, cli)
        self.base = base

    def pre_transaction(self):
        # dnf has downloaded and checked the packages, and changed nothing yet.
        status = 0
        try:
            if self.base.conf.installroot == '/' and os.access(PROGRAM, os.X_OK):
                status = tell(list(incoming(self.base.transaction)), sorted(leaving(self.base.transaction)))
        except Exception as error:
            logger.warning('dkms-hook: %s', error)
        if status == HOLD:
            raise dnf.exceptions.Error('dkms-hook holds this transaction; see above')


def incoming(transaction):
    """The local files of the packages that are about to be installed.

    Of a kernel package also one that is missing: what is in it is not known, which the program must not take for
    nothing.
    """
    for item in transaction:
        # An item that only changes why a package is installed has no package.
        if item.action in dnf.transaction.FORWARD_ACTIONS:
            path = item.pkg.localPkg()
            if is_kernel(item.pkg) or os.path.exists(path):
                yield path


def leaving(transaction):
    """The releases of kernels whose image is in packages that go."""
    releases = set()
    for item in transaction:
        if item.action in dnf.transaction.BACKWARD_ACTIONS + [dnf.transaction.PKG_REMOVE] and is_kernel(item.pkg):
            found = filter(None, map(IMAGE.fullmatch, item.pkg.files))
            releases.update(match[1] or match[2] for match in found)
    return releases


def is_kernel(package):
    """True for packages with a kernel, its modules or its headers: Fedora's, others' and self-made ones."""
    if 'kernel' in package.name:
        return True
    provides = (str(reldep).split(' ')[0] for reldep in package.provides)
    return any(name.startswith('kernel') and name.endswith('uname-r') for name in provides)


def tell(paths, releases):
    """Runs the program, hands on what it says, and returns its status."""
    if not paths and not releases:
        return 0
    options = [word for release in releases for word in ('--leaving', release)]
    with subprocess.Popen([PROGRAM, 'incoming', *options, '--', *paths], stdin=subprocess.DEVNULL, text=True,
                          errors='replace', stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
        for line in program.stdout:
            logger.warning('%s', line.rstrip('\n'))
    return program.returncode
