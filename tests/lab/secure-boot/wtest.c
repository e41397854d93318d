#include <linux/module.h>
static const char text[] = "THE BYTE THAT IS CHANGED";
static int __init wtest_init(void) { pr_debug("%s\n", text); return 0; }
static void __exit wtest_exit(void) { }
module_init(wtest_init);
module_exit(wtest_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("THE BYTE THAT IS CHANGED");
