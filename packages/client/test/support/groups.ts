import type { TestContext } from 'node:test';
import { until } from '../../../../lab/program.ts';
import { manyEvents } from '../../../aggregator/test/support/events.ts';
import type { TestServer } from '../../../aggregator/test/support/server.ts';
import {
  ChronicleWeaver,
  type ConsumeOptions,
  type Group,
  type GroupDefinition,
  type Handler,
} from '../../src/index.ts';

/** A group for one test, and the client that created it. */
interface TestGroup {
  readonly chronicle: ChronicleWeaver;
  readonly name: string;
  /** The offset of the group's first event. */
  readonly first: number;
  readonly group: () => Promise<Group>;
  /** Resolves once nothing is left to do. */
  readonly drained: () => Promise<void>;
  /** Consumes until nothing is left to do. */
  readonly drain: (handler: Handler, options?: ConsumeOptions) => Promise<void>;
}

let groups = 0;

/** Creates groups on this service, each with its own topic that holds the events e-1 to e-`count`. */
export function groupsOn(server: TestServer) {
  return async (
    t: TestContext,
    count: number,
    definition: Partial<GroupDefinition> = {},
  ): Promise<TestGroup> => {
    const chronicle = new ChronicleWeaver({
      url: server.url,
      source: 'shop',
      backoffMinMs: 1,
      backoffMaxMs: 20,
    });
    t.after(() => chronicle.close());
    const { results } = await server.publish(...manyEvents(count, () => ({ topic: t.name })));
    const { name } = await chronicle.groups.create(`workers-${++groups}`, {
      topics: [t.name],
      start: 'earliest',
      ...definition,
    });
    const group = () => chronicle.groups.get(name);
    const drained = () =>
      until(
        () => 'the group to be drained',
        async () => (await group()).lag === 0,
        120_000,
      );
    const drain = async (handler: Handler, options: ConsumeOptions = {}): Promise<void> => {
      const stop = new AbortController();
      const consuming = chronicle.consume(name, handler, { ...options, signal: stop.signal });
      await drained();
      stop.abort();
      await consuming;
    };
    return { chronicle, name, first: results?.[0]?.offset ?? 0, group, drained, drain };
  };
}
