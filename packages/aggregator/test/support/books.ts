import type { StatsAnswer, TestServer } from './server.ts';

/**
 * Everything that a publish may change, to compare before and after one that must change nothing. Stored bytes are left
 * out: the store merges blocks in its idle time, which makes its file grow for a while.
 */
export async function booksOf(server: TestServer): Promise<Record<string, unknown>> {
  const {
    uptime: _uptime,
    stored_bytes: _bytes,
    ...stats
  } = await server.get<StatsAnswer & { stored_bytes: number }>('/stats');
  const { count } = await server.events();
  return { ...stats, count };
}
