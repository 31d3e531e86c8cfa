/* Loaded before the C library (LD_PRELOAD): counts what a process does to the files below one folder, writes it down,
 * and at the n-th operation lets it fail, or kills. tests/reliability/faulty.py speaks to it.
 *
 * The record of an operation: kind, length of the first and of the second path, inode, offset, length of the data (six
 * 64-bit numbers), then the paths and the data. It is written after the operation has succeeded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC, RENAME, CREATE, FOLDER, UNLINK, TRUNCATE };
enum { COUNT, FAIL_ONCE, FULL, KILL_BEFORE, KILL_HALF, KILL_AFTER };
enum { OWN, LEADER, GROUP, WORKER };
enum { GO_ON, REFUSE, HALF, HALF_THEN_KILL, THEN_KILL };

static char root_[PATH_MAX];
static size_t root_length_;
static long at_;
static int action_, victim_, blind_, log_ = -1;
static _Atomic long own_count_, *count_ = &own_count_;

/* Every name of the C library that is taken over, as it was. */
#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static ssize_t plain_write(int fd, const void *data, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    return real(fd, data, length);
}

static int plain_open(const char *path, int flags, mode_t mode) {
    REAL(int, open64, const char *, int, ...);
    return real(path, flags, mode);
}

/* How many operations there were, of all processes that share the counter. */
long shim_count(void) { return *count_; }

/* Watch the folder root; do something at operation number at, counted from 1. */
void shim_set(const char *root, long at, int action, int victim, int blind, const char *log, const char *counter) {
    root_length_ = 0;
    at_ = at, action_ = action, victim_ = victim, blind_ = blind;
    if (log_ >= 0) close(log_), log_ = -1;
    if (log && *log) log_ = plain_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (counter && *counter) {
        int fd = plain_open(counter, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        REAL(int, ftruncate64, int, off64_t);
        real(fd, sizeof(long));
        void *shared = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (shared != MAP_FAILED) count_ = shared;
    } else {
        count_ = &own_count_, own_count_ = 0;
    }
    if (strlen(root) < sizeof root_) strcpy(root_, root), root_length_ = strlen(root);
}

static const char *given(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

__attribute__((constructor)) static void begin(void) {
    const char *root = given("SHIM_ROOT");
    if (*root)
        shim_set(root, atol(given("SHIM_AT")), atoi(given("SHIM_ACTION")), atoi(given("SHIM_VICTIM")),
                 atoi(given("SHIM_BLIND")), given("SHIM_LOG"), given("SHIM_COUNTER"));
}

static int watched(const char *path) {
    return root_length_ && !strncmp(path, root_, root_length_) && (path[root_length_] == '/' || !path[root_length_]);
}

/* The path of an open file, or "" */
static const char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

/* A name beside an open folder, or in the present one, as a whole path. */
static const char *whole(int folder, const char *name, char *path) {
    char base[PATH_MAX];
    int length;
    if (name[0] == '/')
        length = snprintf(path, PATH_MAX, "%s", name);
    else if (folder == AT_FDCWD ? !getcwd(base, sizeof base) : !*path_of(folder, base))
        length = PATH_MAX;
    else
        length = snprintf(path, PATH_MAX, "%s/%s", base, name);
    if (length >= PATH_MAX) path[0] = 0;
    return path;
}

static void record(int kind, const char *path, const char *other, uint64_t inode, uint64_t offset, const void *data,
                   size_t length) {
    if (log_ < 0) return;
    int before = errno;
    uint64_t head[6] = {kind, strlen(path), strlen(other), inode, offset, data ? length : 0};
    size_t size = sizeof head + head[1] + head[2] + head[5];
    char *all = malloc(size), *end = all;
    end = mempcpy(end, head, sizeof head);
    end = mempcpy(end, path, head[1]);
    end = mempcpy(end, other, head[2]);
    if (data) memcpy(end, data, head[5]);
    if (plain_write(log_, all, size) != (ssize_t)size) abort();
    free(all);
    errno = before;
}

static void end_victim(void) {
    pid_t leader = getpgrp();
    kill(victim_ == GROUP ? 0 : victim_ == LEADER ? leader : getpid(), SIGKILL);
    while (victim_ != LEADER || getpid() == leader) pause();
}

/* What becomes of the operation at hand; a full disk still lets names go. */
static int decide(int kind) {
    long now = ++*count_;
    if (action_ == COUNT || now < at_) return GO_ON;
    if (action_ == FULL && now == at_ && kind == WRITE) return HALF;
    if (action_ == FULL) return kind == UNLINK || kind == RENAME ? GO_ON : (errno = ENOSPC, REFUSE);
    /* Of a worker's death, its first operation from there on is the moment. */
    static _Atomic int done;
    int here = victim_ == WORKER ? getpid() != getpgrp() && !done++ : now == at_;
    if (!here) return GO_ON;
    if (action_ == FAIL_ONCE) return errno = EIO, REFUSE;
    if (action_ == KILL_BEFORE) end_victim();
    return action_ == KILL_HALF && kind == WRITE ? HALF_THEN_KILL : action_ == KILL_BEFORE ? GO_ON : THEN_KILL;
}

static int halved(int decided) { return decided == HALF || decided == HALF_THEN_KILL; }

static void after(int decided) {
    if (decided == THEN_KILL || decided == HALF_THEN_KILL) end_victim();
}

static uint64_t inode_of(int fd) {
    struct stat64 found;
    return fstat64(fd, &found) ? 0 : found.st_ino;
}

static uint64_t place(int fd) {
    struct stat64 found;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat64(fd, &found) ? 0 : found.st_size;
    return lseek64(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    if (!root_length_ || fd == log_ || !watched(path_of(fd, path))) return plain_write(fd, data, length);
    int decided = decide(WRITE);
    if (decided == REFUSE) return -1;
    uint64_t offset = place(fd);
    ssize_t done = plain_write(fd, data, halved(decided) ? length / 2 : length);
    if (done >= 0) record(WRITE, path, "", inode_of(fd), offset, data, done);
    after(decided);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    char path[PATH_MAX];
    if (!root_length_ || !watched(path_of(fd, path))) return real(fd, data, length, offset);
    int decided = decide(WRITE);
    if (decided == REFUSE) return -1;
    ssize_t done = real(fd, data, halved(decided) ? length / 2 : length, offset);
    if (done >= 0) record(WRITE, path, "", inode_of(fd), offset, data, done);
    after(decided);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    char path[PATH_MAX];
    if (!root_length_ || !watched(path_of(fd, path))) return real(fd, parts, n);
    /* Piece by piece: whoever calls it must cope with less than all. */
    for (int i = 0; i < n; i++)
        if (parts[i].iov_len) return write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

/* Copies within the kernel would pass unseen: whoever asks for one can do without. */
ssize_t sendfile64(int out, int in, off64_t *offset, size_t length) {
    REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
    char path[PATH_MAX];
    if (root_length_ && watched(path_of(out, path))) return errno = ENOSYS, -1;
    return real(out, in, offset, length);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t length) { return sendfile64(out, in, offset, length); }

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    char path[PATH_MAX];
    if (root_length_ && watched(path_of(out, path))) return errno = ENOSYS, -1;
    return real(in, from, out, to, length, flags);
}

int ftruncate64(int fd, off64_t length) {
    REAL(int, ftruncate64, int, off64_t);
    char path[PATH_MAX];
    if (!root_length_ || !watched(path_of(fd, path))) return real(fd, length);
    int decided = decide(TRUNCATE);
    if (decided == REFUSE) return -1;
    int done = real(fd, length);
    if (!done) record(TRUNCATE, path, "", inode_of(fd), length, NULL, 0);
    after(decided);
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    if (!root_length_ || !watched(path_of(fd, path))) return real(fd);
    int decided = decide(SYNC);
    if (decided == REFUSE) return -1;
    int done = real(fd);
    if (!done) record(SYNC, path, "", inode_of(fd), 0, NULL, 0);
    after(decided);
    return done;
}

int fsync(int fd) {
    REAL(int, fsync, int);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return synced(fd, real);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    char source[PATH_MAX], target[PATH_MAX];
    if (!root_length_ || !watched(whole(to, new, target))) return real(from, old, to, new, flags);
    whole(from, old, source);
    int decided = decide(RENAME);
    if (decided == REFUSE) return -1;
    int done = real(from, old, to, new, flags);
    if (!done) record(RENAME, source, target, 0, 0, NULL, 0);
    after(decided);
    return done;
}

int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }

static int opened(int folder, const char *name, int flags, mode_t mode) {
    REAL(int, openat64, int, const char *, int, ...);
    char path[PATH_MAX];
    int named = (flags & O_TMPFILE) != O_TMPFILE;
    if (!root_length_ || !(flags & (O_CREAT | O_TRUNC)) || !named || !watched(whole(folder, name, path)))
        return real(folder, name, flags, mode);
    struct stat64 found;
    int there = !lstat64(path, &found);
    if (there && !((flags & O_TRUNC) && found.st_size)) return real(folder, name, flags, mode);
    int decided = decide(there ? TRUNCATE : CREATE);
    if (decided == REFUSE) return -1;
    int fd = real(folder, name, flags, mode);
    if (fd >= 0) record(there ? TRUNCATE : CREATE, path, "", inode_of(fd), 0, NULL, 0);
    after(decided);
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return opened(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return opened(folder, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* The C library opens a stream's file unseen: make and empty it first, in the open. */
FILE *fopen64(const char *path, const char *mode) {
    REAL(FILE *, fopen64, const char *, const char *);
    char name[PATH_MAX];
    if (root_length_ && mode[0] != 'r' && watched(whole(AT_FDCWD, path, name))) {
        int fd = opened(AT_FDCWD, path, O_CREAT | O_WRONLY | (mode[0] == 'w' ? O_TRUNC : 0), 0666);
        if (fd < 0) return NULL;
        close(fd);
    }
    return real(path, mode);
}

FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }

int mkdirat(int folder, const char *name, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    char path[PATH_MAX];
    struct stat64 found;
    if (!root_length_ || !watched(whole(folder, name, path)) || !lstat64(path, &found)) return real(folder, name, mode);
    int decided = decide(FOLDER);
    if (decided == REFUSE) return -1;
    int done = real(folder, name, mode);
    if (!done) record(FOLDER, path, "", 0, 0, NULL, 0);
    after(decided);
    return done;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int folder, const char *name, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char path[PATH_MAX];
    if (!root_length_ || !watched(whole(folder, name, path))) return real(folder, name, flags);
    int decided = decide(UNLINK);
    if (decided == REFUSE) return -1;
    int done = real(folder, name, flags);
    if (!done) record(UNLINK, path, "", 0, 0, NULL, 0);
    after(decided);
    return done;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

/* A lock that any number of processes hold at once, as where a shared disk keeps none. */
int flock(int fd, int operation) {
    REAL(int, flock, int, int);
    char path[PATH_MAX];
    if (blind_ && watched(path_of(fd, path))) return 0;
    return real(fd, operation);
}
