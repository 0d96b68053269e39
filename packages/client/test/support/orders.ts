import type { TestContext } from 'node:test';
import type { ChronicleWeaver, NewEvent } from '../../src/index.ts';

/** Makes events of a topic that no other test uses. */
export function topicOf(t: TestContext): (n: number) => NewEvent {
  return (n) => ({ event_id: `order-${n}`, topic: t.name, payload: { n } });
}

export async function idsOf(chronicle: ChronicleWeaver, t: TestContext): Promise<string[]> {
  const events = await Array.fromAsync(chronicle.read({ topic: t.name }));
  return events.map(({ event_id }) => event_id);
}
