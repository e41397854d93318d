// SPDX-License-Identifier: GPL-2.0
// The module of the toy demonstration. Nothing in it is special: it compiles with the headers of a real
// kernel, too.
#include <linux/module.h>

static int __init hello_init(void)
{
	pr_info("hello: loaded\n");
	return 0;
}

static void __exit hello_exit(void)
{
	pr_info("hello: unloaded\n");
}

module_init(hello_init);
module_exit(hello_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("says hello");
MODULE_VERSION("1.0");
