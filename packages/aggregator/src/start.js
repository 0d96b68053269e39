// The one file that is not TypeScript, so that it can run before any other.
//
// It makes the process begin anew with malloc told to give large buffers back to the system when they are freed. Left to
// itself glibc raises the size that it does so for to the largest that was ever freed, and keeps what bodies and groups
// held: 60 MB of a server under load. The setting is read from the environment before anything runs, hence the new
// beginning, in the same process and in 20 ms. https://man7.org/linux/man-pages/man3/mallopt.3.html
//
// And it lets the types of the others be stripped once, by the first start, and read from Node's compile cache by every
// later one and by every thread, which is sooner ready and does not hold a stripper in memory for each. Where no cache
// can be written all is as without.
import { enableCompileCache, flushCompileCache } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const MALLOC = 'MALLOC_MMAP_THRESHOLD_';
// What somebody has set stays; and what is set here is seen by the new beginning, so there is but one.
if (isMainThread && process.platform === 'linux' && process.env[MALLOC] === undefined) {
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    [MALLOC]: String(64 * 1024),
  });
}

enableCompileCache();
// Node writes the cache when the process ends, but a process may be killed.
setTimeout(() => flushCompileCache(), 3000).unref();
await import(isMainThread ? './main.ts' : './store/sqlite/thread.ts');
