#pragma once
#define TOY_PASTE2(a, b) a##b
#define TOY_PASTE(a, b) TOY_PASTE2(a, b)
#define MODULE_INFO(tag, text) \
	static const char TOY_PASTE(toy_##tag, __LINE__)[] \
	__attribute__((section(".modinfo"), used, aligned(1))) = #tag "=" text
#define MODULE_LICENSE(text) MODULE_INFO(license, text)
#define MODULE_VERSION(text) MODULE_INFO(version, text)
#define MODULE_ALIAS(text) MODULE_INFO(alias, text)
#define EXPORT_SYMBOL(name) extern int toy_exported
int printk(const char *text, ...);
