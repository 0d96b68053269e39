import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AggregatorProcess, assertBalanced, problemIn } from '../../lab/aggregator-process.ts';

/** Publishers that never stop, send again what was refused, and remember what they were told. */
export class SteadyPublishers {
  /** The offset of each acknowledged event. */
  readonly acknowledged = new Map<string, number>();
  /** The details of refusals. */
  readonly refusals: string[] = [];
  readonly #aggregator: AggregatorProcess;
  readonly #done = new AbortController();
  readonly #publishing: Promise<unknown>;

  constructor(aggregator: AggregatorProcess, publishers = 4) {
    this.#aggregator = aggregator;
    this.#publishing = Promise.all(Array.from({ length: publishers }, (_, i) => this.#publish(i)));
    // Told by `stop`.
    this.#publishing.catch(() => {});
  }

  /** Resolves when so many more were acknowledged. */
  async more(events: number, withinMs = 60_000): Promise<void> {
    const wanted = this.acknowledged.size + events;
    const giveUpAt = performance.now() + withinMs;
    while (this.acknowledged.size < wanted) {
      const last = this.refusals.at(-1) ?? 'nothing was refused';
      assert.ok(performance.now() < giveUpAt, `not within ${withinMs} ms: ${events} more events; ${last}`);
      await sleep(10);
    }
  }

  /** Stops them, and asserts that the log has each acknowledged event once, where it was told, and that the books balance. */
  async stop(): Promise<void> {
    this.#done.abort();
    await this.#publishing;
    const { events } = await this.#aggregator.events();
    const stored = new Map(events.map(({ event_id, offset }) => [event_id, offset]));
    assert.equal(stored.size, events.length, 'an event is stored twice');
    for (const [id, offset] of this.acknowledged) assert.equal(stored.get(id), offset, id);
    // Each event was sent until it was acknowledged.
    assert.equal(stored.size, this.acknowledged.size);
    assert.deepEqual(
      events.map(({ offset }) => offset),
      events.map((_, i) => i + 1),
    );
    assertBalanced(await this.#aggregator.stats());
  }

  async #publish(publisher: number): Promise<void> {
    for (let batch = 0; !this.#done.signal.aborted; batch++) {
      const events = Array.from({ length: 3 }, (_, i) => ({
        event_id: `${publisher}-${batch}-${i}`,
        topic: `t${i}`,
        source: 'steady',
        payload: { batch },
        timestamp: '2025-10-28T10:00:00Z',
      }));
      for (;;) {
        const response = await this.#aggregator.post({ events }, '/publish?results=true');
        if (response.status === 200) {
          const { results } = (await response.json()) as { results: { offset: number }[] };
          for (const [i, { offset }] of results.entries()) this.acknowledged.set(events[i]!.event_id, offset);
          break;
        }
        assert.ok(Number(response.headers.get('retry-after')) > 0);
        this.refusals.push((await problemIn(response, 503, 'store_unavailable')).detail);
        await sleep(50);
      }
    }
  }
}
