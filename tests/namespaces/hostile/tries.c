/* Tries one thing that a build may not do. Ends with 0 if it could be done. Harmless where it can. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(long result) { return result < 0; }

static int content(const char *path)
{
	char first;
	int fd = open(path, O_RDONLY);

	return fd < 0 || read(fd, &first, 1) != 1;
}

static int internet(int type, int protocol)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, type, protocol);

	if (fd < 0)
		return 1;
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	if (type == SOCK_RAW)
		return 0;
	/* Refused by the other side: there was a network. */
	if (type == SOCK_STREAM)
		return connect(fd, (void *)&to, sizeof(to)) && errno != ECONNREFUSED;
	return failed(sendto(fd, "x", 1, 0, (void *)&to, sizeof(to)));
}

static int local(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	return fd < 0 || failed(connect(fd, (void *)&to, sizeof(to)));
}

static int memory_of(const char *pid)
{
	char path[64];
	int fd;

	if (!failed(ptrace(PTRACE_ATTACH, atoi(pid), 0, 0))) {
		waitpid(atoi(pid), NULL, __WALL);
		ptrace(PTRACE_DETACH, atoi(pid), 0, 0);
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	fd = open(path, O_RDONLY);
	return fd < 0;
}

/* Stays behind under a name that is found. */
static int stay(const char *name)
{
	if (fork())
		return 0;
	setsid();
	if (fork())
		_exit(0);
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	execl("/bin/sleep", name, "100000", (char *)0);
	_exit(1);
}

/* As many processes as there can be, of at most so many. */
static int fork_many(int most)
{
	int count = 0;

	/* The shell is not to end with them. */
	setpgid(0, 0);
	while (count < most) {
		pid_t child = fork();

		if (child < 0)
			break;
		if (!child) {
			pause();
			_exit(0);
		}
		count++;
	}
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return count < most;
}

int main(int argc, char **argv)
{
	const char *what = argv[1], *on = argc > 2 ? argv[2] : "";
	struct stat file;

	if (!strcmp(what, "tcp"))
		return internet(SOCK_STREAM, 0);
	if (!strcmp(what, "udp"))
		return internet(SOCK_DGRAM, 0);
	if (!strcmp(what, "raw"))
		return internet(SOCK_RAW, IPPROTO_ICMP);
	if (!strcmp(what, "unix"))
		return local(on);
	if (!strcmp(what, "mount"))
		return failed(mount("tmpfs", on, "tmpfs", 0, NULL));
	if (!strcmp(what, "device"))
		return failed(mknod("device", S_IFBLK | 0600, makedev(7, 0)));
	if (!strcmp(what, "setuid"))
		return failed(chown("own", 0, 0)) || failed(chmod("own", 04755)) || stat("own", &file) || file.st_uid;
	if (!strcmp(what, "signal"))
		return failed(kill(atoi(on), 0));
	if (!strcmp(what, "memory"))
		return memory_of(on);
	if (!strcmp(what, "chroot"))
		return failed(chroot("."));
	if (!strcmp(what, "write"))
		return failed(open(on, O_WRONLY | O_APPEND));
	if (!strcmp(what, "create"))
		return failed(open(on, O_WRONLY | O_CREAT | O_EXCL, 0644));
	if (!strcmp(what, "delete"))
		return failed(unlink(on));
	if (!strcmp(what, "read"))
		return content(on);
	if (!strcmp(what, "stay"))
		return stay(on);
	if (!strcmp(what, "forks"))
		return fork_many(atoi(on));
	if (!strcmp(what, "large"))
		return failed(open("large", O_WRONLY | O_CREAT, 0644)) || failed(truncate("large", 100L << 30));
	fprintf(stderr, "what is %s?\n", what);
	return 2;
}
