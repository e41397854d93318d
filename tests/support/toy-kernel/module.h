#pragma once
#define TOY_PASTE2(a, b) a##b
#define TOY_PASTE(a, b) TOY_PASTE2(a, b)
#define MODULE_INFO(tag, text) \
	static const char TOY_PASTE(toy_##tag, __LINE__)[] \
	__attribute__((section(".modinfo"), used, aligned(1))) = #tag "=" text
#define MODULE_LICENSE(text) MODULE_INFO(license, text)
#define MODULE_VERSION(text) MODULE_INFO(version, text)
#define MODULE_ALIAS(text) MODULE_INFO(alias, text)
#define MODULE_DESCRIPTION(text) MODULE_INFO(description, text)
#define __init
#define __exit
#define module_init(function) int init_module(void) __attribute__((alias(#function)))
#define module_exit(function) void cleanup_module(void) __attribute__((alias(#function)))
#define pr_info(...) printk(__VA_ARGS__)
#define EXPORT_SYMBOL(name) extern int toy_exported
int printk(const char *text, ...);
