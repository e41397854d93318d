// SPDX-License-Identifier: GPL-2.0
// Compiles for no kernel.
#include <linux/module.h>

static struct struct_that_no_kernel_has wrong;

static int __init labbad_init(void)
{
	return wrong.member;
}

module_init(labbad_init);
MODULE_LICENSE("GPL");
