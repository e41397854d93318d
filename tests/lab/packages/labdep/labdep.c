// SPDX-License-Identifier: GPL-2.0
// Needs labmod's symbol, and therefore labmod's Module.symvers when it is built. Does not compile
// without its patch.
#include <linux/module.h>

extern int labmod_answer(void);

static int __init labdep_init(void)
{
	pr_info("labdep: the answer is %d\n", labmod_question());
	return 0;
}

static void __exit labdep_exit(void)
{
}

module_init(labdep_init);
module_exit(labdep_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dkms-hook lab module with a dependency");
MODULE_VERSION("1.0");
