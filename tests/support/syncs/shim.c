/* Loaded into the program (LD_PRELOAD): writes each call that brings something to the disk into the file SYNC_LOG, in
 * their order, with what the files in SYNC_WATCH (separated by colons) hold at that moment. No removal of something
 * with the text STUBBORN in its name succeeds, as on a bad disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void watch(int log, const char *path)
{
	char text[4096];
	int file = open(path, O_RDONLY);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof(text) - 1);

	if (file >= 0)
		close(file);
	text[length < 0 ? 0 : length] = 0;
	for (char *at = text; *at; at++)
		if (*at == '\n' || *at == '\t')
			*at = ' ';
	dprintf(log, "\t%s", length < 0 ? "-" : text);
}

static void note(const char *call, int fd)
{
	char link[64], path[4096], *files, *file, *rest, *out = getenv("SYNC_LOG");
	ssize_t length;
	int log, error = errno;

	/* Children of the program have it, too. */
	if (!out || strncmp(program_invocation_short_name, "dkms", 4))
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	path[length < 0 ? 0 : length] = 0;
	log = open(out, O_WRONLY | O_APPEND | O_CREAT, 0644);
	dprintf(log, "%s\t%s", call, path);
	files = strdup(getenv("SYNC_WATCH") ? getenv("SYNC_WATCH") : "");
	for (file = strtok_r(files, ":", &rest); file; file = strtok_r(NULL, ":", &rest))
		watch(log, file);
	dprintf(log, "\n");
	free(files);
	close(log);
	errno = error;
}

#define NOTED(name)                                                                                                    \
	int name(int fd)                                                                                               \
	{                                                                                                              \
		int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);                                              \
		int result = real(fd);                                                                                 \
		note(#name, fd);                                                                                       \
		return result;                                                                                         \
	}

NOTED(fsync)
NOTED(fdatasync)
NOTED(syncfs)

static int is_stubborn(const char *name)
{
	char *text = getenv("STUBBORN");

	if (!text || !strstr(name, text) || strncmp(program_invocation_short_name, "dkms", 4))
		return 0;
	errno = EIO;
	return 1;
}

int unlinkat(int dir, const char *name, int flags)
{
	int (*real)(int, const char *, int) = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");

	return is_stubborn(name) ? -1 : real(dir, name, flags);
}

int rmdir(const char *name)
{
	int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "rmdir");

	return is_stubborn(name) ? -1 : real(name);
}

int unlink(const char *name)
{
	int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");

	return is_stubborn(name) ? -1 : real(name);
}
