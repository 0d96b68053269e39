import type { StatsAnswer, TestServer } from './server.ts';

/** All that a publish may change, to be compared before and after one that must change nothing. */
export async function booksOf(server: TestServer): Promise<Record<string, unknown>> {
  const { uptime: _uptime, ...stats } = await server.get<StatsAnswer>('/stats');
  const { count } = await server.events();
  return { ...stats, count };
}
