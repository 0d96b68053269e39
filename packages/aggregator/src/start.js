// The one file that is not TypeScript, so that it can run before any other.
//
// It makes the process begin anew with other settings for malloc, which reads them from the environment before anything
// runs; in the same process and in 80 ms. https://man7.org/linux/man-pages/man3/mallopt.3.html
//
// Events live for a moment, in buffers that one thread takes and another gives back. Left to itself glibc keeps such
// memory for each thread apart: as fast, but 20 to 40 MB more, and 536 MiB in place of 450 under overload. Giving each
// buffer back to the system at once is no cure: every 4 KiB that are taken anew are a page fault, 13 µs where the kernel is
// itself virtual, which was as much as all else that an event needs (docs/performance.md).
//
// And it lets the types of the others be stripped once, by the first start, and read from Node's compile cache by every
// later one and by every thread, which is sooner ready and does not hold a stripper in memory for each. Where no cache
// can be written all is as without.
import { enableCompileCache, flushCompileCache } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const MALLOC = {
  // One heap, so that what the writer's thread gives back is there for the next body.
  MALLOC_ARENA_MAX: '1',
  // Bytes from which a buffer is a mapping of its own, and new to the system each time. glibc takes no more than this.
  MALLOC_MMAP_THRESHOLD_: String(32 * 1024 * 1024),
  // Bytes that are kept, free, at the end of the heap: some of the largest groups.
  MALLOC_TRIM_THRESHOLD_: String(64 * 1024 * 1024),
};
// What somebody has set stays; and what is set here is seen by the new beginning, so there is but one.
if (
  isMainThread &&
  process.platform === 'linux' &&
  !Object.keys(MALLOC).some((name) => name in process.env)
) {
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    ...MALLOC,
  });
}

enableCompileCache();
// Node writes the cache when the process ends, but a process may be killed.
setTimeout(() => flushCompileCache(), 3000).unref();
await import(isMainThread ? './main.ts' : './store/sqlite/threads/thread.ts');
