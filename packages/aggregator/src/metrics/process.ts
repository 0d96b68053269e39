import { readdir, readFile } from 'node:fs/promises';
import {
  type PerformanceNodeEntry,
  PerformanceObserver,
  constants,
  monitorEventLoopDelay,
  performance,
} from 'node:perf_hooks';
import { type Exposition, labels } from './exposition.ts';
import { Histogram } from './instruments.ts';
import type { Section } from './section.ts';

/** Seconds. */
const GC_BOUNDS = [0.001, 0.01, 0.1, 1];

/** How finely the delay of the event loop is measured, milliseconds: each look is a timer of libuv's, without JavaScript. */
const DELAY_RESOLUTION_MS = 20;

const KINDS = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
]);

/** What Prometheus' libraries show of a process, and Node.js of itself, under the names that dashboards know. */
export class ProcessFigures implements Section {
  readonly part = 'process';
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>;
  readonly #collections = new Map([...KINDS.values()].map((kind) => [kind, new Histogram(GC_BOUNDS)]));
  readonly #observer: PerformanceObserver;
  #filesOpen: number | null = null;
  #filesMax: number | null = null;

  constructor() {
    this.#delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    this.#delay.enable();
    this.#observer = new PerformanceObserver((list) => {
      for (const { detail, duration } of list.getEntries() as PerformanceNodeEntry[]) {
        const kind = KINDS.get((detail as { readonly kind: number }).kind);
        if (kind !== undefined) this.#collections.get(kind)!.observe(duration / 1000);
      }
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** Only Linux tells of open files. Asked without blocking: there may be thousands. */
  async read(): Promise<boolean> {
    const [names, limits] = await Promise.all([
      readdir('/proc/self/fd').catch(() => null),
      readFile('/proc/self/limits', 'utf8').catch(() => ''),
    ]);
    this.#filesOpen = names?.length ?? null;
    const max = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    this.#filesMax = max === undefined ? null : Number(max);
    return true;
  }

  write(out: Exposition): void {
    writeProcess(out);
    if (this.#filesOpen !== null) out.gauge('process_open_fds', 'Open file descriptors.', this.#filesOpen);
    if (this.#filesMax !== null)
      out.gauge('process_max_fds', 'How many of these there may be.', this.#filesMax);
    this.#writeLoop(out);
    writeMemory(out);
    out.histograms(
      'nodejs_gc_duration_seconds',
      'Garbage collections of the thread that speaks HTTP, by kind.',
      [...this.#collections].map(([kind, histogram]) => [{ kind }, histogram]),
    );
    out.gauge('nodejs_version_info', 'The version of Node.js.', [[labels({ version: process.version }), 1]]);
  }

  close(): void {
    this.#delay.disable();
    this.#observer.disconnect();
  }

  #writeLoop(out: Exposition): void {
    const { idle, active } = performance.eventLoopUtilization();
    out.counter(
      'nodejs_eventloop_active_seconds_total',
      'Time in which the thread that speaks HTTP worked; its rate is how busy it is.',
      active / 1000,
    );
    out.counter('nodejs_eventloop_idle_seconds_total', 'Time in which that thread waited.', idle / 1000);
    // What is measured is the time between two looks, of which the delay is a part.
    const delayS = (ns: number): number => Math.max(0, ns / 1e9 - DELAY_RESOLUTION_MS / 1000) || 0;
    out.gauge(
      'nodejs_eventloop_lag_p50_seconds',
      'Median delay of that thread since the page before this one.',
      delayS(this.#delay.percentile(50)),
    );
    out.gauge(
      'nodejs_eventloop_lag_p99_seconds',
      '99th percentile of that delay.',
      delayS(this.#delay.percentile(99)),
    );
    out.gauge('nodejs_eventloop_lag_max_seconds', 'The longest such delay.', delayS(this.#delay.max));
    this.#delay.reset();
  }
}

function writeProcess(out: Exposition): void {
  const { user, system } = process.cpuUsage();
  out.counter('process_cpu_user_seconds_total', 'Processor time of all threads, in user mode.', user / 1e6);
  out.counter('process_cpu_system_seconds_total', 'The same, in the kernel.', system / 1e6);
  out.counter('process_cpu_seconds_total', 'Processor time of all threads.', (user + system) / 1e6);
  out.gauge(
    'process_start_time_seconds',
    'When the process started, in seconds since 1970.',
    performance.timeOrigin / 1000,
  );
}

function writeMemory(out: Exposition): void {
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
  out.gauge('process_resident_memory_bytes', 'Memory that the process has in use.', rss);
  out.gauge(
    'nodejs_heap_size_total_bytes',
    'Heap of the thread that speaks HTTP, as far as it has grown.',
    heapTotal,
  );
  out.gauge('nodejs_heap_size_used_bytes', 'The part of that heap in use.', heapUsed);
  out.gauge('nodejs_external_memory_bytes', 'Memory outside the heap that its objects own.', external);
  out.gauge('nodejs_array_buffers_bytes', 'The part of that memory in buffers.', arrayBuffers);
}
