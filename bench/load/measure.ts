import type { ServerProcess } from '../process/server-process.ts';
import { percentile } from '../statistics.ts';
import type { LoadResult, Told } from './closed-loop.ts';

/** One measure of a load. */
export interface Measure {
  readonly events: number;
  readonly eventsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Processor time by wall time: near 1 the load itself was the limit, and the measure says little of the server. */
  readonly loadCpuShare: number;
  readonly serverCpuShare: number;
  /** By second of the server's processor time: what is left to compare where other work takes the core away. */
  readonly eventsPerCpuS: number;
}

/** Runs a load of so many events and measures it from both sides. */
export async function measureLoad(
  server: ServerProcess,
  events: number,
  load: () => Promise<LoadResult>,
): Promise<{ measure: Measure; told: Told }> {
  const serverCpuBefore = server.cpuSeconds();
  const loadCpuBefore = process.cpuUsage();
  const { seconds, latenciesMs, told } = await load();
  const loadCpu = process.cpuUsage(loadCpuBefore);
  const serverCpuS = server.cpuSeconds() - serverCpuBefore;
  const measure = {
    events,
    eventsPerS: events / seconds,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
    maxMs: percentile(latenciesMs, 1),
    loadCpuShare: (loadCpu.user + loadCpu.system) / 1e6 / seconds,
    serverCpuShare: serverCpuS / seconds,
    eventsPerCpuS: events / serverCpuS,
  };
  return { measure, told };
}
