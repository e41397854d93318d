"""Hands the files of incoming kernel packages to dkms-hook before a transaction of dnf 4.

This plugin builds nothing: kernel-install and rpm's file triggers do that, whichever program installs
the packages. A failure of this plugin does not stop or change a transaction.
"""

import logging
import os
import subprocess

import dnf
import dnf.transaction

PROGRAM = '/usr/sbin/dkms-hook'
SECONDS = 60

logger = logging.getLogger('dnf.plugin')


class DkmsHook(dnf.Plugin):
    name = 'dkms_hook'

    def __init__(self, base, cli):
        super().__init__(base, cli)
        self.base = base

    def pre_transaction(self):
        # dnf has downloaded and checked the packages, and changed nothing yet.
        try:
            if self.base.conf.installroot == '/' and os.access(PROGRAM, os.X_OK):
                tell(incoming(self.base.transaction))
        except Exception as error:
            logger.warning('dkms-hook: %s', error)


def incoming(transaction):
    """The local files of the kernel packages that are about to be installed.

    Also one that is missing: what is in it is not known, which the program must not take for nothing.
    """
    for item in transaction:
        # An item that only changes why a package is installed has no package.
        if item.action in dnf.transaction.FORWARD_ACTIONS and is_kernel(item.pkg):
            yield item.pkg.localPkg()


def is_kernel(package):
    """True for packages with a kernel, its modules or its headers: Fedora's, others' and self-made ones."""
    if package.name.startswith('kernel'):
        return True
    provides = (str(reldep).split(' ')[0] for reldep in package.provides)
    return any(name.startswith('kernel') and name.endswith('uname-r') for name in provides)


def tell(paths):
    paths = list(paths)
    if not paths:
        return
    done = subprocess.run([PROGRAM, 'incoming', *paths], stdin=subprocess.DEVNULL, text=True, errors='replace',
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
    for line in done.stdout.splitlines():
        logger.warning('%s', line)
