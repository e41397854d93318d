// SPDX-License-Identifier: GPL-2.0
// The lab's own module: it carries the version text of the headers it was built with, so that a
// rebuild after new headers is a different file, and exports a symbol for labdep.
#include <linux/module.h>
#include <generated/utsversion.h>

int labmod_answer(void)
{
	return 42;
}
EXPORT_SYMBOL_GPL(labmod_answer);

static int __init labmod_init(void)
{
	pr_info("labmod: built for " UTS_VERSION "\n");
	return 0;
}

static void __exit labmod_exit(void)
{
}

module_init(labmod_init);
module_exit(labmod_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dkms-hook lab module");
MODULE_VERSION("1.0");
MODULE_INFO(lab_built_for, UTS_VERSION);
