// SPDX-License-Identifier: GPL-2.0
// Does not compile with any kernel.
#include <linux/module.h>

static int __init labbad_init(void)
{
	return no_such_function();
}

module_init(labbad_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dkms-hook lab module that does not compile");
MODULE_VERSION("1.0");
