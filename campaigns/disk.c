/* The disk between a process and its files, to be loaded with LD_PRELOAD.
 *
 * Calls on files below one folder are counted by class; the n-th (or all from the n-th on) fails as
 * told, and what changes the disk can be recorded, so that a power cut at any moment can be played
 * back. Counts are shared by a process and all it forks. Leaves out: memory maps and io_uring.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, CREATE = 2, READ = 4, WRITE = 8, SYNC = 16, RENAME = 32 };

static struct {
  char below[1024];
  long counts[8], from, until;
  int classes, error, record, most;
} *disk;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
  disk = mmap(0, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  disk->record = -1;
}

/* error 0: the write takes only `most` bytes, as a short write does. */
void disk_arm(const char *below, int classes, long from, long until, int error, int most, int log) {
  strncpy(disk->below, below, sizeof disk->below - 1);
  memset(disk->counts, 0, sizeof disk->counts), disk->from = from, disk->until = until, disk->classes = classes;
  disk->error = error, disk->most = most, disk->record = log;
}
long disk_count(int class) { return disk->counts[__builtin_ctz(class)]; }

/* The path of a name, or of an open file; whether it lies below the folder. */
static int whole(int at, const char *name, char *path) {
  if (!disk || !disk->below[0] || !name) return 0;
  path[0] = 0;
  if (name[0] != '/') {
    char link[64];
    ssize_t n = -1;
    if (at == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    n = readlink(link, path, 2000);
    if (n < 0) return 0;
    path[n] = 0;
    if (name[0]) strcat(path, "/");
  }
  strncat(path, name, 2000);
  return !strncmp(path, disk->below, strlen(disk->below)) && !strstr(path, " (deleted)");
}

/* Whether this call is to fail: 0 no, else the error; -1 a short write. */
static int fails(int class) {
  long n = __sync_add_and_fetch(&disk->counts[__builtin_ctz(class)], 1);
  if (!(disk->classes & class) || n < disk->from || n > disk->until) return 0;
  return disk->error ? disk->error : -1;
}

static void note(char op, const char *a, const char *b, int64_t at, const void *data, uint64_t size) {
  if (disk->record < 0) return;
  uint32_t la = strlen(a), lb = b ? strlen(b) : 0;
  struct iovec parts[] = {{&op, 1},   {&la, 4},        {&lb, 4},         {&at, 8},
                          {&size, 8}, {(void *)a, la}, {(void *)b, lb}, {(void *)data, size}};
  int kept = errno;
  if (REAL(writev)(disk->record, parts, 8) < 0) _exit(99);
  errno = kept;
}

static int opened(int at, const char *name, int flags, mode_t mode, int (*real)(int, const char *, int, ...)) {
  char path[4200];
  if (!whole(at, name, path)) return real(at, name, flags, mode);
  struct stat found;
  int new = (flags & O_CREAT) && fstatat(at, name, &found, 0) && errno == ENOENT;
  int why = fails((flags & (O_CREAT | O_TRUNC)) ? CREATE : OPEN);
  if (why > 0) return errno = why, -1;
  int file = real(at, name, flags, mode);
  if (file >= 0 && new) note('C', path, 0, 0, 0, 0);
  else if (file >= 0 && (flags & O_TRUNC)) note('T', path, 0, 0, 0, 0);
  return file;
}
#define MODE va_list rest; va_start(rest, flags); mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; va_end(rest)
int openat(int at, const char *name, int flags, ...) { MODE; return opened(at, name, flags, mode, REAL(openat)); }
int openat64(int at, const char *name, int flags, ...) { MODE; return opened(at, name, flags, mode, REAL(openat64)); }
int open(const char *name, int flags, ...) { MODE; return opened(AT_FDCWD, name, flags, mode, REAL(openat)); }
int open64(const char *name, int flags, ...) { MODE; return opened(AT_FDCWD, name, flags, mode, REAL(openat64)); }

ssize_t read(int file, void *to, size_t size) {
  char path[4200];
  int why = whole(file, "", path) ? fails(READ) : 0;
  if (why > 0) return errno = why, -1;
  return REAL(read)(file, to, size);
}
ssize_t pread64(int file, void *to, size_t size, off64_t at) {
  char path[4200];
  int why = whole(file, "", path) ? fails(READ) : 0;
  if (why > 0) return errno = why, -1;
  return REAL(pread64)(file, to, size, at);
}
ssize_t pread(int file, void *to, size_t size, off_t at) { return pread64(file, to, size, at); }

static ssize_t written(int file, const void *from, size_t size, off64_t at) {
  char path[4200];
  int ours = whole(file, "", path), why = ours ? fails(WRITE) : 0;
  if (why > 0) return errno = why, -1;
  if (why < 0 && size > 1) size = size < (size_t)disk->most ? size / 2 : (size_t)disk->most;
  ssize_t n = at < 0 ? REAL(write)(file, from, size) : REAL(pwrite64)(file, from, size, at);
  if (ours && n > 0) note('W', path, 0, at < 0 ? lseek(file, 0, SEEK_CUR) - n : at, from, n);
  return n;
}
ssize_t write(int file, const void *from, size_t size) { return written(file, from, size, -1); }
ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) { return written(file, from, size, at); }
ssize_t pwrite(int file, const void *from, size_t size, off_t at) { return written(file, from, size, at); }
ssize_t writev(int file, const struct iovec *parts, int count) {
  char path[4200];
  /* One part at a time is what a short write is. */
  if (whole(file, "", path)) return count ? written(file, parts[0].iov_base, parts[0].iov_len, -1) : 0;
  return REAL(writev)(file, parts, count);
}
/* Copies inside the kernel would pass by: the callers fall back to reads and writes. */
ssize_t sendfile(int out, int in, off_t *at, size_t size) { return errno = ENOTSOCK, -1; }
ssize_t sendfile64(int out, int in, off64_t *at, size_t size) { return errno = ENOTSOCK, -1; }
ssize_t copy_file_range(int in, off64_t *a, int out, off64_t *b, size_t size, unsigned flags) { return errno = ENOSYS, -1; }

static int synced(int file, int (*real)(int)) {
  char path[4200];
  int ours = whole(file, "", path), why = ours ? fails(SYNC) : 0;
  if (why > 0) return errno = why, -1;
  int result = real(file);
  if (ours && !result) note('F', path, 0, 0, 0, 0);
  return result;
}
int fsync(int file) { return synced(file, REAL(fsync)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)); }

int renameat(int a, const char *from, int b, const char *to) {
  char one[4200], two[4200];
  int ours = whole(a, from, one) && whole(b, to, two), why = ours ? fails(RENAME) : 0;
  if (why > 0) return errno = why, -1;
  int result = REAL(renameat)(a, from, b, to);
  if (ours && !result) note('R', one, two, 0, 0, 0);
  return result;
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  return flags ? (errno = EINVAL, -1) : renameat(a, from, b, to);
}
int unlinkat(int at, const char *name, int flags) {
  char path[4200];
  int ours = whole(at, name, path), result = REAL(unlinkat)(at, name, flags);
  if (ours && !result) note('U', path, 0, 0, 0, 0);
  return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int mkdirat(int at, const char *name, mode_t mode) {
  char path[4200];
  int ours = whole(at, name, path), why = ours ? fails(CREATE) : 0;
  if (why > 0) return errno = why, -1;
  int result = REAL(mkdirat)(at, name, mode);
  if (ours && !result) note('M', path, 0, 0, 0, 0);
  return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
int ftruncate64(int file, off64_t size) {
  char path[4200];
  int ours = whole(file, "", path), result = REAL(ftruncate64)(file, size);
  if (ours && !result) note('T', path, 0, size, 0, 0);
  return result;
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }
