import type { ServerProcess } from '../process/server-process.ts';
import { percentile } from '../statistics.ts';
import type { LoadResult, Told } from './closed-loop.ts';

/** One measure of a load. */
export interface Measure {
  readonly events: number;
  readonly eventsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Processor time per wall time. Near 1 the load was the limit, and the measure says little about the server. */
  readonly loadCpuShare: number;
  readonly serverCpuShare: number;
  /** Per second of the server's processor time, which can be compared even while other work takes its core. */
  readonly eventsPerCpuS: number;
  /** Of several servers: what the slowest answered, by what each would have had if all were as fast. */
  readonly slowestShare?: number;
}

/** Runs a load and measures it from both sides. */
export async function measureLoad(
  server: Pick<ServerProcess, 'cpuSeconds'>,
  events: number,
  load: () => Promise<LoadResult>,
): Promise<{ measure: Measure; told: Told }> {
  const serverCpuBefore = server.cpuSeconds();
  const loadCpuBefore = process.cpuUsage();
  const { seconds, latenciesMs, told, answersOf = [0] } = await load();
  const loadCpu = process.cpuUsage(loadCpuBefore);
  const serverCpuS = server.cpuSeconds() - serverCpuBefore;
  const measure = {
    events,
    eventsPerS: events / seconds,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
    p999Ms: percentile(latenciesMs, 0.999),
    maxMs: percentile(latenciesMs, 1),
    loadCpuShare: (loadCpu.user + loadCpu.system) / 1e6 / seconds,
    serverCpuShare: serverCpuS / seconds,
    eventsPerCpuS: events / serverCpuS,
    slowestShare: (Math.min(...answersOf) * answersOf.length) / latenciesMs.length,
  };
  return { measure, told };
}
