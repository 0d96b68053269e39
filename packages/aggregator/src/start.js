// The one file that is not TypeScript, so that it can run before any other: the types of the others are stripped once,
// by the first start, and read from Node's compile cache by every later one and by every thread, which is sooner ready
// and does not hold a stripper in memory for each. Where no cache can be written all is as without.
import { enableCompileCache, flushCompileCache } from 'node:module';
import { isMainThread } from 'node:worker_threads';

enableCompileCache();
// Node writes the cache when the process ends, but a process may be killed.
setTimeout(() => flushCompileCache(), 3000).unref();
await import(isMainThread ? './main.ts' : './store/sqlite/thread.ts');
