import type { TestContext } from 'node:test';
import { groupsOn } from '../../../client/test/support/groups.ts';
import type { TestServer } from '../../../aggregator/test/support/server.ts';
import { type Ran, commandLine } from './command-line.ts';

/** A group with its events, and what a pipe of it does. */
export interface PipedGroup {
  readonly name: string;
  /** What the service has of its topic: texts, in order. */
  readonly stored: () => Promise<string[]>;
  readonly group: ReturnType<typeof groupsOn> extends (...args: never[]) => Promise<infer G> ? G : never;
  /** Runs a pipe until `when`, by default until nothing is left; then it is interrupted. */
  readonly pipe: (args: readonly string[], when?: () => Promise<unknown>) => Promise<Ran>;
}

/** Makes groups of `count` events on this server, each with a payload whose digits JavaScript would change. */
export function pipedGroups(server: TestServer) {
  const groupOf = groupsOn(server);
  return async (
    t: TestContext,
    count: number,
    definition: Parameters<typeof groupOf>[2] = {},
  ): Promise<PipedGroup> => {
    const group = await groupOf(t, 0, definition);
    await group.chronicle.publish(Array.from({ length: count }, (_, i) => exactEvent(t.name, i + 1)));
    const { name, drained } = group;
    return {
      name,
      group,
      async stored() {
        const path = `/events?topic=${encodeURIComponent(t.name)}`;
        const response = await fetch(server.url + path, { headers: { accept: 'application/x-ndjson' } });
        return (await response.text()).split('\n').slice(0, -1);
      },
      pipe: (args, when = drained) =>
        commandLine(['pipe', `--group=${name}`, `--url=${server.url}`, ...args], '', {
          interrupt: 130,
          interruptAfter: when,
        }),
    };
  };
}

export function exactEvent(topic: string, n: number): string {
  const payload = `{"n":${n}.50,"big":123456789012345678901}`;
  return `{"event_id":"e-${n}","topic":${JSON.stringify(topic)},"source":"s","payload":${payload},"timestamp":"2025-10-28"}`;
}
