import assert from 'node:assert/strict';
import { manyEvents } from '../../support/events.ts';
import { onEachStore } from '../../support/letting-go.ts';
import { Policies } from '../../support/policies.ts';
import { until } from '../../support/until.ts';

onEachStore(
  'policies are obeyed, topics truncated and events erased over HTTP [RET-13, RET-15, RET-16]',
  async ({ server }) => {
    await server.publish(...manyEvents(10));
    const policies = new Policies(server);
    assert.equal((await policies.put('p', { topics: ['orders'], max_events: 8 })).status, 201);
    await until(
      () => 'two events have expired',
      async () => (await server.stats()).expired === 2,
    );
    const ask = async (path: string): Promise<Record<string, unknown>> => {
      const response = await fetch(server.url + path, { method: 'DELETE' });
      assert.equal(response.status, 200, await response.clone().text());
      return (await response.json()) as Record<string, unknown>;
    };
    const { events, first_offset } = await ask('/topics/orders?before=6');
    assert.deepEqual([events, first_offset], [3, 6]);
    const { offset, was_kept } = await ask('/events/orders/e-6?forget=true');
    assert.deepEqual([offset, was_kept], [6, true]);
    assert.equal((await ask('/events/orders/e-1'))['was_kept'], false);
    const { results } = await server.publish(...manyEvents(10));
    assert.deepEqual(
      results!.filter(({ verdict }) => verdict === 'accepted').map(({ event_id }) => event_id),
      ['e-6'],
    );
    assert.equal((await policies.delete('p')).status, 204);
  },
);
