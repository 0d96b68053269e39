// Not TypeScript, so that it can run before any other file.
//
// Malloc reads its settings from the environment before anything runs. `npm start`, the image and the systemd unit set them;
// where nobody has, this restarts the process in place with them, which takes 40 ms.
// https://man7.org/linux/man-pages/man3/mallopt.3.html
//
// Events live briefly, in buffers that one thread allocates and another frees. By default glibc keeps such memory per
// thread: just as fast, but 20 to 40 MB more, and 536 MiB instead of 450 under overload. Returning each buffer to the
// system at once is no better: every 4 KiB allocated again is a page fault, at 13 µs if the kernel is itself virtual, which
// was as much as everything else that an event needs (docs/performance.md).
//
// It also chooses between the bundle that `npm ci` made (bundle.js) and the sources, and keeps what V8 compiled in Node's
// compile cache. From the sources the first start strips their types once, and every later one and every thread reads the
// result from the cache. If no cache can be written, everything works as it would without one.
import module from 'node:module';
import { getEnvironmentData, isMainThread, setEnvironmentData, workerData } from 'node:worker_threads';
import { freshBundle } from './bundle.js';

const { createRequire, enableCompileCache, flushCompileCache } = module;
if (enableCompileCache === undefined) {
  process.stderr.write(
    `chronicleweaver: Node.js ${process.versions.node} is too old for the service; npm ci installs a newer one, which npm start uses\n`,
  );
  process.exit(1);
}

const MALLOC = {
  // One heap, so that memory freed by the writer's thread is available to the next body.
  MALLOC_ARENA_MAX: '1',
  // Buffers of this many bytes or more get a mapping of their own, new from the system each time. The most glibc accepts.
  MALLOC_MMAP_THRESHOLD_: String(32 * 1024 * 1024),
  // Free bytes kept at the end of the heap: room for a few of the largest groups.
  MALLOC_TRIM_THRESHOLD_: String(64 * 1024 * 1024),
};
// Keeps anything that is already set. The restarted process finds these set, so it does not restart again.
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

// Every thread runs what the first one chose, whatever changes meanwhile.
if (isMainThread) setEnvironmentData('bundle', freshBundle());
const chosen = getEnvironmentData('bundle');
const bundle = typeof chosen === 'string' ? chosen : undefined;
const bundled = (name) => createRequire(import.meta.url)(`${bundle}/${name}.cjs`);
if (isMainThread) {
  const { main } = bundle === undefined ? await import('./main.ts') : bundled('main');
  await main();
} else if (workerData.role === 'folder') {
  if (bundle === undefined) await import('./store/sqlite/threads/folding-thread.ts');
  else bundled('folding-thread');
} else {
  if (bundle === undefined) await import('./store/sqlite/threads/thread.ts');
  else bundled('thread');
}
